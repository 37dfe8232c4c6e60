// A destination: customer events into an HTTP event API, with Go's standard library alone.
package main

import (
	"fmt"
	"os"
)

var origins = map[string]string{
	"US": "https://api.go-events.example",
	"EU": "https://api.eu.go-events.example",
}

func originOf(settings Settings) string { return origins[settings.Region] }

func settingsSchema() Object {
	return Object{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"title":                "Go Events",
		"type":                 "object",
		"additionalProperties": false,
		"required":             []string{"apiKey"},
		"properties": Object{
			"apiKey": Object{
				"title":       "API key",
				"description": "Of the workspace that the events go to.",
				"type":        "string",
				"minLength":   1,
				"writeOnly":   true,
				"examples":    []string{"an-api-key"},
			},
			"region": Object{
				"title":       "Region",
				"description": "Where the workspace is.",
				"enum":        []string{"US", "EU"},
				"default":     "US",
			},
		},
	}
}

func hooks() Hooks {
	return Hooks{
		Name:    "go-events",
		Version: "0.1.0",
		// It sends the context whole, and with it the traits there; of other fields at the root it
		// reads none, and the host notes those.
		Reads:          []string{"context.traits"},
		SettingsSchema: settingsSchema,
		DisplayNames:   func() []string { return []string{"Go Events"} },
		Origins:        func(settings Settings) []string { return []string{originOf(settings)} },
		Quotas: func(Settings) []Object {
			return []Object{{"name": "requests_per_second", "limit": 100, "period": 1, "unit": "requests"}}
		},
		OnMessage: map[string]func(Message, Settings) ([]Request, error){
			"identify": onIdentify,
			"track":    onTrack,
			"page":     onPage,
			"screen":   onScreen,
			"group":    onGroup,
			"alias":    onAlias,
		},
		Pack:       pack,
		OnResponse: onResponse,
	}
}

func main() {
	if err := Serve(os.Stdin, os.Stdout, hooks()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
