// go-tuned is the Go service as it should have been run: as many connections to memcached are kept
// as requests are in flight, and a pool of a size that PostgreSQL can serve.
package main

import (
	server "iubench/contestants/go"
	"iubench/contestants/go/service"
)

func main() {
	server.Main(service.Settings{Pool: 64, CacheIdleConns: 500, UpstreamIdleConns: 500},
		server.FailByContract)
}
