// gin is the tuned service on Gin, without its logger.
package main

import (
	"io"
	"log"
	"net/http"

	"github.com/gin-gonic/gin"

	server "iubench/contestants/go"
	"iubench/contestants/go/service"
)

func fail(c *gin.Context, e *service.Error) {
	if e.Status == http.StatusServiceUnavailable {
		c.Header("Retry-After", "1")
	}
	c.JSON(e.Status, gin.H{"error": e.Text})
}

func create(v *service.Service) gin.HandlerFunc {
	return func(c *gin.Context) {
		body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, service.MaxBody))
		if err != nil {
			fail(c, &service.Error{Status: http.StatusRequestEntityTooLarge, Text: err.Error()})
			return
		}
		device, failed := v.Create(c.Request.Context(), body)
		if failed != nil {
			fail(c, failed)
			return
		}
		c.Data(http.StatusCreated, "application/json", device)
	}
}

func refused(status int) gin.HandlerFunc {
	return func(c *gin.Context) { fail(c, &service.Error{Status: status, Text: http.StatusText(status)}) }
}

func fib(c *gin.Context) {
	n, failed := service.FibNumber(c.Param("n"))
	if failed != nil {
		fail(c, failed)
		return
	}
	c.JSON(http.StatusOK, service.FibAnswer{N: n, Fibonacci: service.Fib(n)})
}

func fetchExternal(v *service.Service) gin.HandlerFunc {
	return func(c *gin.Context) {
		body, failed := v.Fetch(c.Request.Context())
		if failed != nil {
			fail(c, failed)
			return
		}
		c.Data(http.StatusOK, "application/json", body)
	}
}

// TechEmpower's tests ask for a Server field.
func hello(c *gin.Context) {
	c.Header("Server", "Go")
	if c.FullPath() == "/json" {
		c.JSON(http.StatusOK, gin.H{"message": service.Hello})
	} else {
		c.String(http.StatusOK, service.Hello)
	}
}

func main() {
	s := service.Settings{Pool: 64, CacheIdleConns: 500, UpstreamIdleConns: 500}
	s.ParseFlags()
	v, err := service.Open(s)
	if err != nil {
		log.Fatal(err)
	}
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery())
	r.HandleMethodNotAllowed = true
	r.NoRoute(refused(http.StatusNotFound))
	r.NoMethod(refused(http.StatusMethodNotAllowed))
	r.GET("/api/devices", func(c *gin.Context) { c.JSON(http.StatusOK, service.Devices()) })
	if v.HasStorage() {
		r.POST("/api/devices", create(v))
	}
	r.GET("/healthz", func(c *gin.Context) { c.String(http.StatusOK, "OK") })
	r.GET("/json", hello)
	r.GET("/plaintext", hello)
	r.GET("/fib/:n", fib)
	r.GET("/fetch-external", fetchExternal(v))
	r.GET("/metrics", gin.WrapH(v.Metrics.Handler))
	if err := server.Serve(s.Listen, r); err != nil {
		log.Fatal(err)
	}
}
