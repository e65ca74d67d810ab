package service

import (
	"fmt"
	"net/http"
	"strconv"
)

const fibMax = 40

// Fib is the article's naive double recursion.
func Fib(n int) int {
	if n <= 1 {
		return n
	}
	return Fib(n-1) + Fib(n-2)
}

// FibNumber reads n as the path gave it.
func FibNumber(text string) (int, *Error) {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n > fibMax {
		return 0, &Error{http.StatusBadRequest, fmt.Sprintf("n must be a whole number from 0 to %d", fibMax)}
	}
	return int(n), nil
}

// FibAnswer is the object that /fib/{n} answers.
type FibAnswer struct {
	N         int `json:"n"`
	Fibonacci int `json:"fibonacci"`
}
