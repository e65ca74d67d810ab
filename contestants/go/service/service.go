package service

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/jackc/pgx/v5/pgxpool"
)

const upstreamTimeout = 10 * time.Second

// Service holds the connections of one process.
type Service struct {
	Metrics    *Metrics
	db         *pgxpool.Pool
	cache      *memcache.Client
	client     *http.Client
	upstream   string
	timeFormat string
}

// Error is one that a client is told, with the status to tell it by.
type Error struct {
	Status int
	Text   string
}

func (e *Error) Error() string { return e.Text }

// Open connects to what the settings name; fails when that cannot be reached.
func Open(s Settings) (*Service, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 0 // no limit besides the one per host
	transport.MaxIdleConnsPerHost = s.UpstreamIdleConns
	v := &Service{
		Metrics:    newMetrics(),
		client:     &http.Client{Timeout: upstreamTimeout, Transport: transport},
		upstream:   s.Upstream,
		timeFormat: s.TimeFormat,
	}
	if v.timeFormat == "" {
		v.timeFormat = MicrosecondsUTC
	}
	if s.Database == "none" {
		return v, nil
	}
	config, err := pgxpool.ParseConfig(s.Database)
	if err != nil {
		return nil, err
	}
	if s.Pool > 0 {
		config.MaxConns = int32(s.Pool)
	}
	if v.db, err = pgxpool.NewWithConfig(context.Background(), config); err != nil {
		return nil, err
	}
	if err := v.db.Ping(context.Background()); err != nil {
		return nil, fmt.Errorf("PostgreSQL: %w", err)
	}
	v.cache = memcache.New(s.Memcached)
	v.cache.MaxIdleConns = s.CacheIdleConns
	if err := v.cache.Ping(); err != nil {
		return nil, fmt.Errorf("memcached: %w", err)
	}
	return v, nil
}

// HasStorage tells whether devices can be created.
func (v *Service) HasStorage() bool { return v.db != nil }
