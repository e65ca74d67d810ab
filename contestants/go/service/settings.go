// Package service is what the Go contestants do apart from HTTP: devices, Fibonacci numbers, the
// external service, storage and metrics, with the few settings that decide their rates.
package service

import (
	"flag"
	"os"
)

// Settings are the defaults of a command; each has a flag.
type Settings struct {
	Listen            string // host:port
	Database          string // URL; "none": neither database nor cache
	Memcached         string // host:port, or a Unix socket's path
	Upstream          string // URL that fetch-external asks
	Pool              int    // connections to PostgreSQL; 0: what the URL says, else pgx's default
	CacheIdleConns    int    // gomemcache keeps that many; more at once are opened and closed per set
	UpstreamIdleConns int    // likewise net/http of connections to the upstream
	TimeFormat        string // of created_at and updated_at; empty: MicrosecondsUTC
}

// ParseFlags lets the command line, then the environment, override the settings.
func (s *Settings) ParseFlags() {
	flag.StringVar(&s.Listen, "listen", env("LISTEN", "127.0.0.1:8080"), "`address` to listen on")
	flag.StringVar(&s.Database, "database", env("DATABASE_URL", "postgresql://localhost/mydb"),
		"PostgreSQL `URL`; none: no POST, and no memcached")
	flag.StringVar(&s.Memcached, "memcached", env("MEMCACHED_SERVERS", "127.0.0.1:11211"),
		"memcached `address`, or a Unix socket's path")
	flag.StringVar(&s.Upstream, "upstream", env("UPSTREAM", "http://127.0.0.1:5001/external"),
		"`URL` of the external service")
	flag.IntVar(&s.Pool, "pool", s.Pool,
		"connections to PostgreSQL; 0: pool_max_conns of the URL, else pgx's default")
	flag.IntVar(&s.CacheIdleConns, "cache-idle", s.CacheIdleConns,
		"idle connections to memcached that are kept")
	flag.IntVar(&s.UpstreamIdleConns, "upstream-idle", s.UpstreamIdleConns,
		"idle connections to the external service that are kept")
	flag.Parse()
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
