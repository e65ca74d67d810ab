// gin-article is the article's Gin service: gin.Default() with its logger, in debug mode, a plain
// recursion, and net/http's client with its default of 2 kept connections to the external service.
// Start it with GOMAXPROCS=1, as the article does for its comparison of one core.
package main

import (
	"io"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	server "iubench/contestants/go"
	"iubench/contestants/go/service"
)

func fail(c *gin.Context, status int, text string) {
	c.JSON(status, gin.H{"error": text})
}

// fib has no upper limit, and a negative n is its own answer.
func fib(c *gin.Context) {
	n, err := strconv.Atoi(c.Param("n"))
	if err != nil {
		fail(c, http.StatusBadRequest, "Invalid input")
		return
	}
	c.JSON(http.StatusOK, gin.H{"n": n, "fibonacci": service.Fib(n)})
}

func fetchExternal(url string) gin.HandlerFunc {
	client := &http.Client{Timeout: 10 * time.Second}
	return func(c *gin.Context) {
		response, err := client.Get(url)
		if err != nil {
			fail(c, http.StatusBadGateway, "External service unavailable")
			return
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			fail(c, http.StatusBadGateway, "External service returned error")
			return
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			fail(c, http.StatusInternalServerError, "Failed to read response body")
			return
		}
		c.Data(http.StatusOK, "application/json", body)
	}
}

// The article has no POST; this one is the tuned service's.
func create(v *service.Service) gin.HandlerFunc {
	return func(c *gin.Context) {
		body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, service.MaxBody))
		if err != nil {
			fail(c, http.StatusRequestEntityTooLarge, err.Error())
			return
		}
		device, failed := v.Create(c.Request.Context(), body)
		if failed != nil {
			if failed.Status == http.StatusServiceUnavailable {
				c.Header("Retry-After", "1")
			}
			fail(c, failed.Status, failed.Text)
			return
		}
		c.Data(http.StatusCreated, "application/json", device)
	}
}

func main() {
	s := service.Settings{Pool: 64, CacheIdleConns: 500}
	s.ParseFlags()
	v, err := service.Open(s)
	if err != nil {
		log.Fatal(err)
	}
	r := gin.Default()
	r.GET("/fib/:n", fib)
	r.GET("/fetch-external", fetchExternal(s.Upstream))
	r.GET("/api/devices", func(c *gin.Context) { c.JSON(http.StatusOK, service.Devices()) })
	if v.HasStorage() {
		r.POST("/api/devices", create(v))
	}
	r.GET("/healthz", func(c *gin.Context) { c.String(http.StatusOK, "OK") })
	r.GET("/metrics", gin.WrapH(v.Metrics.Handler))
	if err := server.Serve(s.Listen, r); err != nil {
		log.Fatal(err)
	}
}
