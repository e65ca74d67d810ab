package service

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	jsoniter "github.com/json-iterator/go"
)

const (
	// MicrosecondsUTC is how the contract writes a time.
	MicrosecondsUTC = "2006-01-02T15:04:05.000000Z"
	// MaxBody is how many bytes of a request's body are read.
	MaxBody = 1 << 20
	// MaxFields is how many bytes of a request's fields are read.
	MaxFields = 16 << 10
	// Hello is what TechEmpower's json and plaintext answer.
	Hello = "Hello, World!"

	insert        = `INSERT INTO device (uuid, mac, firmware, created_at, updated_at) VALUES ($1, $2, $3, $4, $5) RETURNING id`
	insertTimeout = 5 * time.Second
	expirySeconds = 20
	maxText       = 255
)

// JSON is the published configuration: no escaping of HTML, floats of six digits.
var JSON = jsoniter.ConfigFastest

// Device is one row, and its object in JSON.
type Device struct {
	ID        int64  `json:"id"`
	UUID      string `json:"uuid"`
	Mac       string `json:"mac"`
	Firmware  string `json:"firmware"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

// Devices are the published three, built for each request.
func Devices() []Device {
	return []Device{
		{1, "9add349c-c35c-4d32-ab0f-53da1ba40a2a", "EF-2B-C4-F5-D6-34", "2.1.5", "2024-05-28T15:21:51.137Z", "2024-05-28T15:21:51.137Z"},
		{2, "d2293412-36eb-46e7-9231-af7e9249fffe", "E7-34-96-33-0C-4C", "1.0.3", "2024-01-28T15:20:51.137Z", "2024-01-28T15:20:51.137Z"},
		{3, "eee58ca8-ca51-47a5-ab48-163fd0e44b77", "68-93-9B-B5-33-B9", "4.3.1", "2024-08-28T15:18:21.137Z", "2024-08-28T15:18:21.137Z"},
	}
}

type input struct {
	Mac      *string `json:"mac"`
	Firmware *string `json:"firmware"`
}

func isText(s *string) bool {
	return s != nil && utf8.ValidString(*s) && utf8.RuneCountInString(*s) <= maxText &&
		strings.IndexByte(*s, 0) < 0
}

// Create makes a device of a request's body: one row, committed, and its object in the cache. It
// returns that object as JSON.
func (v *Service) Create(ctx context.Context, body []byte) ([]byte, *Error) {
	var in input
	if err := JSON.Unmarshal(body, &in); err != nil || !isText(in.Mac) || !isText(in.Firmware) {
		return nil, &Error{http.StatusBadRequest,
			"expected {\"mac\": TEXT, \"firmware\": TEXT}, of at most 255 characters each"}
	}
	now := time.Now().UTC()
	text := now.Format(v.timeFormat)
	d := Device{UUID: uuid.NewString(), Mac: *in.Mac, Firmware: *in.Firmware, CreatedAt: text, UpdatedAt: text}
	if err := v.insert(ctx, &d, now); err != nil {
		return nil, err
	}
	return v.set(&d)
}

func (v *Service) insert(ctx context.Context, d *Device, now time.Time) *Error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	start := time.Now()
	err := v.db.QueryRow(ctx, insert, d.UUID, d.Mac, d.Firmware, now, now).Scan(&d.ID)
	if err == nil {
		v.Metrics.insert.Observe(time.Since(start).Seconds())
		return nil
	}
	v.Metrics.insertErrors.Inc()
	var refused *pgconn.PgError
	if errors.As(err, &refused) && strings.HasPrefix(refused.Code, "22") { // data exception
		return &Error{http.StatusBadRequest, "insert: " + refused.Message}
	}
	return &Error{http.StatusServiceUnavailable, "insert: " + err.Error()}
}

func (v *Service) set(d *Device) ([]byte, *Error) {
	value, err := JSON.Marshal(d)
	if err != nil {
		return nil, &Error{http.StatusInternalServerError, err.Error()}
	}
	start := time.Now()
	err = v.cache.Set(&memcache.Item{Key: d.UUID, Value: value, Expiration: expirySeconds})
	if err != nil {
		v.Metrics.setErrors.Inc()
		return nil, &Error{http.StatusServiceUnavailable, "set: " + err.Error()}
	}
	v.Metrics.set.Observe(time.Since(start).Seconds())
	return value, nil
}
