package service

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the published ones, in a registry of their own without Go's runtime, as published.
type Metrics struct {
	Handler                 http.Handler
	insert, set             prometheus.Observer
	insertErrors, setErrors prometheus.Counter
}

// buckets are the published 261 bounds in seconds; the last, infinity, is implied.
func buckets() []float64 {
	var bounds []float64
	for _, part := range []struct{ from, to, step int }{ // in microseconds
		{10, 100, 5}, {100, 200, 1}, {200, 1000, 10}, {1000, 10000, 500},
		{10000, 100000, 5000}, {100000, 1000000, 50000}, {1000000, 5000001, 500000},
	} {
		for us := part.from; us < part.to; us += part.step {
			bounds = append(bounds, float64(us)/1e6)
		}
	}
	return bounds
}

func newMetrics() *Metrics {
	labels := []string{"op", "db"}
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "myapp", Name: "request_duration_seconds",
		Help: "Duration of the request.", Buckets: buckets(),
	}, labels)
	errors := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "myapp", Name: "errors_count", Help: "Operations that failed.",
	}, labels)
	registry := prometheus.NewRegistry()
	registry.MustRegister(durations, errors)
	return &Metrics{
		Handler:      promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
		insert:       durations.WithLabelValues("insert", "postgres"),
		set:          durations.WithLabelValues("set", "memcache"),
		insertErrors: errors.WithLabelValues("insert", "postgres"),
		setErrors:    errors.WithLabelValues("set", "memcache"),
	}
}
