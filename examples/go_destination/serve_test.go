package main

import (
	"bytes"
	"strings"
	"testing"
)

func told(t *testing.T, line string) string {
	t.Helper()
	var out bytes.Buffer
	if err := Serve(strings.NewReader(line+"\n"), &out, hooks()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestNumbersAreWrittenAsTheyWereRead(t *testing.T) {
	properties := `{"a":9007199254740993,"b":1.0,"c":1,"d":1e400}`
	answer := told(t, `{"id":1,"call":"map","settings":{"region":"US"},"messages":[{"message":`+
		`{"type":"track","messageId":"m","userId":"u","event":"E","properties":`+properties+`}}]}`)
	if !strings.Contains(answer, properties) {
		t.Errorf("%s does not hold %s", answer, properties)
	}
}

func TestAPanicStaysWithItsMessage(t *testing.T) {
	answer := told(t, `{"id":1,"call":"map","settings":{},"messages":[{"message":{"type":"sale"}},`+
		`{"message":{"type":"track"}}]}`)
	if !strings.Contains(answer, `"type":"panic"`) || !strings.Contains(answer, `"missing_event"`) {
		t.Error(answer)
	}
}

func TestAWindowIsAsFewRequestsAsTheVendorAllows(t *testing.T) {
	var singles []Request
	for range make([]struct{}, 2*mostRecords+1) {
		message := Message{"messageId": "m", "userId": "u", "event": "E"}
		made, err := onTrack(message, Settings{Region: "US"})
		if err != nil {
			t.Fatal(err)
		}
		singles = append(singles, made...)
	}
	packed := pack(singles, Settings{})
	if len(packed) != 3 || len(packed[2].JSON["events"]) != 1 {
		t.Errorf("%d requests", len(packed))
	}
}
