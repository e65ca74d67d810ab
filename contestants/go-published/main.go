// go-published is the Go service as it was published: a pool of 500 connections to PostgreSQL, but
// gomemcache's default of 2 kept connections (a third set at once opens one and closes it again).
package main

import (
	"net/http"
	"time"

	server "iubench/contestants/go"
	"iubench/contestants/go/service"
)

// Every error of a POST was answered as the client's.
func fail(w http.ResponseWriter, e *service.Error) {
	server.Reply(w, http.StatusBadRequest, map[string]string{"msg": e.Text})
}

func main() {
	server.Main(service.Settings{
		Pool:              500,
		CacheIdleConns:    2,
		UpstreamIdleConns: http.DefaultMaxIdleConnsPerHost,
		TimeFormat:        time.RFC3339Nano,
	}, fail)
}
