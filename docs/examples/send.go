// Sends an event with net/http: WEBHOOKS_KEY=.. go run send.go
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

var client = &http.Client{Timeout: 30 * time.Second}

// send stores the event once, however often it is called with the same idempotency key.
func send(kind string, data any, idempotencyKey string) ([]byte, error) {
	body, err := json.Marshal(map[string]any{"type": kind, "data": data})
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		wait := time.Second << attempt
		status, retryAfter, answer, err := post(body, idempotencyKey)
		switch {
		case err == nil && status < 300:
			return answer, nil
		case attempt == 5 && err != nil:
			return nil, err
		case err == nil && (attempt == 5 || !tryAgain(status)):
			// application/problem+json: `code` for programs, `detail` for people.
			return nil, fmt.Errorf("refused with %d: %s", status, answer)
		}
		if seconds, err := strconv.Atoi(retryAfter); err == nil {
			wait = time.Duration(seconds) * time.Second
		}
		time.Sleep(wait)
	}
}

func tryAgain(status int) bool {
	switch status {
	case 408, 429, 500, 502, 503, 504:
		return true
	}
	return false
}

func post(body []byte, idempotencyKey string) (int, string, []byte, error) {
	url := env("WEBHOOKS_SERVER", "http://127.0.0.1:8700") + "/api/v1/events"
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("WEBHOOKS_KEY"))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", idempotencyKey)
	response, err := client.Do(request)
	if err != nil {
		return 0, "", nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, response.Header.Get("Retry-After"), answer, err
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	answer, err := send("user.created", map[string]int{"id": 42}, env("IDEMPOTENCY_KEY", "signup-42"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(answer))
}
