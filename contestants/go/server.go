// Package server is the published Go service (net/http, pgx, gomemcache, json-iterator), with the
// few settings that decide its rate left to its commands go-published and go-tuned.
package server

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	jsoniter "github.com/json-iterator/go"
)

const (
	insert        = `INSERT INTO device (uuid, mac, firmware, created_at, updated_at) VALUES ($1, $2, $3, $4, $5) RETURNING id`
	expirySeconds = 20
	maxBody       = 1 << 20
	maxText       = 255
)

var json = jsoniter.ConfigFastest

// Settings are the defaults of a command; each has a flag.
type Settings struct {
	Pool           int // connections to PostgreSQL; 0: what the URL says, else pgx's default
	CacheIdleConns int // gomemcache keeps that many; more at once are opened and closed per request
}

type device struct {
	ID        int64  `json:"id"`
	UUID      string `json:"uuid"`
	Mac       string `json:"mac"`
	Firmware  string `json:"firmware"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

type service struct {
	db    *pgxpool.Pool
	cache *memcache.Client
}

func reply(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

func fail(w http.ResponseWriter, status int, text string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	reply(w, status, map[string]string{"error": text})
}

func devices(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, []device{
		{1, "9add349c-c35c-4d32-ab0f-53da1ba40a2a", "EF-2B-C4-F5-D6-34", "2.1.5", "2024-05-28T15:21:51.137Z", "2024-05-28T15:21:51.137Z"},
		{2, "d2293412-36eb-46e7-9231-af7e9249fffe", "E7-34-96-33-0C-4C", "1.0.3", "2024-01-28T15:20:51.137Z", "2024-01-28T15:20:51.137Z"},
		{3, "eee58ca8-ca51-47a5-ab48-163fd0e44b77", "68-93-9B-B5-33-B9", "4.3.1", "2024-08-28T15:18:21.137Z", "2024-08-28T15:18:21.137Z"},
	})
}

func (s *service) create(w http.ResponseWriter, r *http.Request) {
	var d device
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(body, &d)
	}
	if err != nil || d.Mac == "" || d.Firmware == "" || len(d.Mac) > maxText || len(d.Firmware) > maxText {
		fail(w, http.StatusBadRequest, "expected {\"mac\": TEXT, \"firmware\": TEXT}")
		return
	}
	now := time.Now().UTC()
	d.UUID = uuid.NewString()
	d.CreatedAt = now.Format("2006-01-02T15:04:05.000000Z")
	d.UpdatedAt = d.CreatedAt
	if err := s.db.QueryRow(r.Context(), insert, d.UUID, d.Mac, d.Firmware, now, now).Scan(&d.ID); err != nil {
		fail(w, http.StatusServiceUnavailable, "insert: "+err.Error())
		return
	}
	value, err := json.Marshal(d)
	if err == nil {
		err = s.cache.Set(&memcache.Item{Key: d.UUID, Value: value, Expiration: expirySeconds})
	}
	if err != nil {
		fail(w, http.StatusServiceUnavailable, "set: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	w.Write(value)
}

// Environment or default, so that a container needs no arguments.
func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func open(database, cache string, s Settings) (*service, error) {
	if database == "none" {
		return nil, nil
	}
	config, err := pgxpool.ParseConfig(database)
	if err != nil {
		return nil, err
	}
	if s.Pool > 0 {
		config.MaxConns = int32(s.Pool)
	}
	db, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	if err := db.Ping(context.Background()); err != nil {
		return nil, err
	}
	client := memcache.New(cache)
	client.MaxIdleConns = s.CacheIdleConns
	return &service{db, client}, client.Ping()
}

// Main serves until SIGINT or SIGTERM.
func Main(s Settings) {
	listen := flag.String("listen", env("LISTEN", "127.0.0.1:8080"), "address to listen on")
	database := flag.String("database", env("DATABASE_URL", "postgresql://localhost/mydb"), "PostgreSQL `URL`; none: no POST, and no memcached")
	cache := flag.String("memcached", env("MEMCACHED_SERVERS", "127.0.0.1:11211"), "memcached `address`, or a Unix socket's path")
	flag.IntVar(&s.Pool, "pool", s.Pool, "connections to PostgreSQL; 0: pool_max_conns of the URL, else pgx's default")
	flag.IntVar(&s.CacheIdleConns, "cache-idle", s.CacheIdleConns, "idle connections to memcached that are kept")
	flag.Parse()

	service, err := open(*database, *cache, s)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/devices", devices)
	if service != nil {
		mux.HandleFunc("POST /api/devices", service.create)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "OK") })
	server := &http.Server{Addr: *listen, Handler: mux}

	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	go func() {
		<-stop.Done()
		server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
