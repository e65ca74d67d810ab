// go-tuned is the Go service as it should have been run: as many connections to memcached are kept
// as requests are in flight, and a pool of a size that PostgreSQL can serve.
package main

import server "iubench/contestants/go"

func main() {
	server.Main(server.Settings{Pool: 64, CacheIdleConns: 500})
}
