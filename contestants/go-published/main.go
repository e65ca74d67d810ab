// go-published is the Go service as it was published: gomemcache's default of 2 kept connections (a
// third request at once opens one and closes it again), and the pool that the database URL names.
package main

import server "iubench/contestants/go"

func main() {
	server.Main(server.Settings{CacheIdleConns: 2})
}
