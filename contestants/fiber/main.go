// fiber is the tuned service on Fiber, that is on fasthttp, which reuses a request's memory: what
// outlives a handler would have to be copied, and nothing does.
package main

import (
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"

	"iubench/contestants/go/service"
)

func fail(c *fiber.Ctx, e *service.Error) error {
	if e.Status == fiber.StatusServiceUnavailable {
		c.Set("Retry-After", "1")
	}
	return c.Status(e.Status).JSON(fiber.Map{"error": e.Text})
}

func replyJSON(c *fiber.Ctx, status int, body []byte) error {
	c.Set("Content-Type", fiber.MIMEApplicationJSON)
	return c.Status(status).Send(body)
}

func create(v *service.Service) fiber.Handler {
	return func(c *fiber.Ctx) error {
		device, failed := v.Create(c.UserContext(), c.Body())
		if failed != nil {
			return fail(c, failed)
		}
		return replyJSON(c, fiber.StatusCreated, device)
	}
}

func fib(c *fiber.Ctx) error {
	n, failed := service.FibNumber(c.Params("n"))
	if failed != nil {
		return fail(c, failed)
	}
	return c.JSON(service.FibAnswer{N: n, Fibonacci: service.Fib(n)})
}

func fetchExternal(v *service.Service) fiber.Handler {
	return func(c *fiber.Ctx) error {
		body, failed := v.Fetch(c.UserContext())
		if failed != nil {
			return fail(c, failed)
		}
		return replyJSON(c, fiber.StatusOK, body)
	}
}

// TechEmpower's tests ask for a Server field.
func helloJSON(c *fiber.Ctx) error {
	c.Set("Server", "Go")
	return c.JSON(fiber.Map{"message": service.Hello})
}

func helloText(c *fiber.Ctx) error {
	c.Set("Server", "Go")
	return c.SendString(service.Hello)
}

// A request that Fiber itself refuses (no such route, body too large) is answered as the contract
// has errors.
func refused(c *fiber.Ctx, err error) error {
	status := fiber.StatusInternalServerError
	if e, ok := err.(*fiber.Error); ok {
		status = e.Code
	}
	return fail(c, &service.Error{Status: status, Text: err.Error()})
}

func main() {
	s := service.Settings{Pool: 64, CacheIdleConns: 500, UpstreamIdleConns: 500}
	s.ParseFlags()
	v, err := service.Open(s)
	if err != nil {
		log.Fatal(err)
	}
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true, BodyLimit: service.MaxBody, ErrorHandler: refused,
		ReadBufferSize: service.MaxFields,
		JSONEncoder: service.JSON.Marshal, JSONDecoder: service.JSON.Unmarshal,
	})
	app.Get("/api/devices", func(c *fiber.Ctx) error { return c.JSON(service.Devices()) })
	if v.HasStorage() {
		app.Post("/api/devices", create(v))
	}
	app.Get("/healthz", func(c *fiber.Ctx) error { return c.SendString("OK") })
	app.Get("/json", helloJSON)
	app.Get("/plaintext", helloText)
	app.Get("/fib/:n", fib)
	app.Get("/fetch-external", fetchExternal(v))
	app.Get("/metrics", adaptor.HTTPHandler(v.Metrics.Handler))

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		app.Shutdown()
	}()
	if err := app.Listen(s.Listen); err != nil {
		log.Fatal(err)
	}
}
