package main

import (
	"encoding/json"
	"strings"
)

// Response is what the vendor answered.
type Response struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

const mostWords = 200

// onResponse reads {"errors": [{"index": 3, "reason": "..."}]}: those records are refused, and the
// vendor has the others. Where it says no such thing, the host reads the status as most vendors mean
// it.
func onResponse(request Request, response Response, _ Settings) any {
	if response.Status == 400 && strings.Contains(strings.ToLower(response.Body), "invalid api key") {
		return Object{
			"result": "held", "code": "invalid_api_key", "detail": "the vendor does not know the key",
		}
	}
	outcomes := Object{}
	var said struct {
		Errors []struct {
			Index  *int
			Reason string
		}
	}
	if response.Status != 200 || json.Unmarshal([]byte(response.Body), &said) != nil {
		return outcomes
	}
	for _, refused := range said.Errors {
		if refused.Index == nil || *refused.Index < 0 || *refused.Index >= len(request.Items) {
			continue
		}
		words := []rune(refused.Reason)
		for _, id := range request.Items[*refused.Index] {
			outcomes[id] = Object{
				"result": "rejected", "code": "invalid_record",
				"detail": string(words[:min(len(words), mostWords)]),
			}
		}
	}
	return outcomes
}
