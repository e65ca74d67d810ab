// Package server is the published Go service on net/http; go-published and go-tuned differ in its
// settings.
package server

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"iubench/contestants/go/service"
)

// Fail answers an error of a POST.
type Fail func(w http.ResponseWriter, e *service.Error)

// Reply answers a value as JSON.
func Reply(w http.ResponseWriter, status int, value any) {
	body, err := service.JSON.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	replyJSON(w, status, body)
}

func replyJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// FailByContract answers an error as the contract has it.
func FailByContract(w http.ResponseWriter, e *service.Error) {
	if e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	Reply(w, e.Status, map[string]string{"error": e.Text})
}

func devices(w http.ResponseWriter, _ *http.Request) {
	Reply(w, http.StatusOK, service.Devices())
}

func create(v *service.Service, fail Fail) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, service.MaxBody))
		if err != nil {
			fail(w, &service.Error{Status: http.StatusRequestEntityTooLarge, Text: err.Error()})
			return
		}
		device, failed := v.Create(r.Context(), body)
		if failed != nil {
			fail(w, failed)
			return
		}
		replyJSON(w, http.StatusCreated, device)
	}
}

func fib(w http.ResponseWriter, r *http.Request) {
	n, failed := service.FibNumber(r.PathValue("n"))
	if failed != nil {
		FailByContract(w, failed)
		return
	}
	Reply(w, http.StatusOK, service.FibAnswer{N: n, Fibonacci: service.Fib(n)})
}

func fetchExternal(v *service.Service) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, failed := v.Fetch(r.Context())
		if failed != nil {
			FailByContract(w, failed)
			return
		}
		replyJSON(w, http.StatusOK, body)
	}
}

// JSON and Plaintext are TechEmpower's tests of these names, which ask for a Server field.
func JSON(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Server", "Go")
	Reply(w, http.StatusOK, map[string]string{"message": service.Hello})
}

func Plaintext(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Server", "Go")
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, service.Hello)
}

// Main serves until SIGINT or SIGTERM.
func Main(s service.Settings, fail Fail) {
	s.ParseFlags()
	v, err := service.Open(s)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/devices", devices)
	if v.HasStorage() {
		mux.HandleFunc("POST /api/devices", create(v, fail))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "OK") })
	mux.HandleFunc("GET /json", JSON)
	mux.HandleFunc("GET /plaintext", Plaintext)
	mux.HandleFunc("GET /fib/{n}", fib)
	mux.HandleFunc("GET /fetch-external", fetchExternal(v))
	mux.Handle("GET /metrics", v.Metrics.Handler)
	if err := Serve(s.Listen, mux); err != nil {
		log.Fatal(err)
	}
}

// Serve answers until SIGINT or SIGTERM, then finishes what is under way.
func Serve(address string, handler http.Handler) error {
	server := &http.Server{Addr: address, Handler: handler}
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	finished := make(chan struct{})
	go func() {
		<-stop.Done()
		server.Shutdown(context.Background())
		close(finished)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-finished
	return nil
}
