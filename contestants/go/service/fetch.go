package service

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
)

// Fetch returns the JSON that the upstream answers.
func (v *Service) Fetch(ctx context.Context) ([]byte, *Error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.upstream, nil)
	if err != nil {
		return nil, &Error{http.StatusInternalServerError, err.Error()}
	}
	response, err := v.client.Do(request)
	if err != nil {
		return nil, fetchError(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBody))
	if err != nil {
		return nil, fetchError(err)
	}
	if response.StatusCode != http.StatusOK || !JSON.Valid(body) {
		return nil, &Error{http.StatusBadGateway, fmt.Sprintf("the upstream answered status %d, %d bytes", response.StatusCode, len(body))}
	}
	return body, nil
}

func fetchError(err error) *Error {
	if os.IsTimeout(err) {
		return &Error{http.StatusGatewayTimeout, "the upstream did not answer in time"}
	}
	return &Error{http.StatusBadGateway, "the upstream is not available"}
}
