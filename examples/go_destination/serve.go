package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
)

// The protocol: a line of JSON in, a line of JSON out (docs/programs.md). Nothing else may be written
// to standard output; standard error is yours. Numbers are json.Number, which keeps their text.

const protocol = 1

// Object is a JSON object.
type Object = map[string]any

// Settings are what a connection is configured with.
type Settings struct {
	APIKey string `json:"apiKey"`
	Region string `json:"region"`
}

// Hooks are those of a destination, by name. One that is nil is one that it does not have.
type Hooks struct {
	Name, Version  string
	Reads          []string
	SettingsSchema func() Object
	DisplayNames   func() []string
	Origins        func(Settings) []string
	Quotas         func(Settings) []Object
	OnMessage      map[string]func(Message, Settings) ([]Request, error)
	Pack           func([]Request, Settings) []Request
	OnResponse     func(Request, Response, Settings) any
}

// Note says what a mapping changed or left out.
type Note struct {
	Code   string `json:"code"`
	Path   string `json:"path"`
	Detail string `json:"detail"`
}

// Reject refuses a message.
type Reject struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Path   string `json:"path"`
}

func (r *Reject) Error() string { return r.Code + ": " + r.Detail }

// Ignored says that nothing is sent on purpose, and why.
type Ignored struct {
	Reason string `json:"reason"`
	Notes  []Note `json:"notes,omitempty"`
}

func (i *Ignored) Error() string { return i.Reason }

// Fault is a hook that failed. A router does not log its words.
type Fault struct {
	Type   string `json:"type"`
	At     string `json:"at"`
	Detail string `json:"detail"`
}

type line struct {
	ID       json.Number `json:"id"`
	Call     string      `json:"call"`
	Settings Settings    `json:"settings"`
	Messages []asked     `json:"messages"`
	Requests []Request   `json:"requests"`
	Request  Request     `json:"request"`
	Response Response    `json:"response"`
}

type asked struct {
	Message Message `json:"message"`
}

// Serve answers lines until the host says stop, or ends.
func Serve(in io.Reader, out io.Writer, hooks Hooks) error {
	reader := bufio.NewReaderSize(in, 1<<16)
	for {
		text, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // the host has ended: so do we
		}
		if err != nil {
			return err
		}
		var given line
		if err := decode(text, &given); err != nil {
			return fmt.Errorf("a line of the host's: %w", err)
		}
		if err := write(out, answer(given, hooks)); err != nil {
			return err
		}
		if given.Call == "stop" {
			return nil
		}
	}
}

func answer(given line, hooks Hooks) (told Object) {
	told = Object{"id": given.ID}
	defer func() {
		if failure := recover(); failure != nil {
			told = Object{"id": given.ID, "error": fault(failure)}
		}
	}()
	told["value"] = value(given, hooks)
	return told
}

func value(given line, hooks Hooks) any {
	switch given.Call {
	case "hello":
		return Object{
			"protocol": protocol, "name": hooks.Name, "version": hooks.Version,
			"hooks": names(hooks), "reads": hooks.Reads,
		}
	case "settings_schema":
		return hooks.SettingsSchema()
	case "display_names":
		return hooks.DisplayNames()
	case "origins":
		return hooks.Origins(given.Settings)
	case "quotas":
		return hooks.Quotas(given.Settings)
	case "map":
		made := make([]Object, len(given.Messages))
		for i, each := range given.Messages {
			made[i] = mapped(each.Message, given.Settings, hooks)
		}
		return made
	case "pack":
		return hooks.Pack(given.Requests, given.Settings)
	case "on_response":
		return hooks.OnResponse(given.Request, given.Response, given.Settings)
	case "stop":
		return nil
	}
	panic(fmt.Sprintf("no such call: %s", given.Call))
}

func mapped(message Message, settings Settings, hooks Hooks) (made Object) {
	defer func() {
		if failure := recover(); failure != nil {
			made = Object{"error": fault(failure)}
		}
	}()
	requests, err := hooks.OnMessage[message.text("type")](message, settings)
	var refused *Reject
	var nothing *Ignored
	switch {
	case errors.As(err, &refused):
		return Object{"reject": refused}
	case errors.As(err, &nothing):
		return Object{"ignored": nothing}
	case err != nil:
		return Object{"error": Fault{Type: "error", Detail: err.Error()}}
	}
	return Object{"requests": requests}
}

func names(hooks Hooks) []string {
	found := []string{"settings_schema"}
	for _, call := range []string{"identify", "track", "page", "screen", "group", "alias"} {
		if hooks.OnMessage[call] != nil {
			found = append(found, "on_"+call)
		}
	}
	for name, has := range map[string]bool{
		"display_names": hooks.DisplayNames != nil, "origins": hooks.Origins != nil,
		"quotas": hooks.Quotas != nil, "pack": hooks.Pack != nil,
		"on_response": hooks.OnResponse != nil,
	} {
		if has {
			found = append(found, name)
		}
	}
	return found
}

// fault says what panicked, and where: the first of our own files on the stack.
func fault(failure any) Fault {
	at := ""
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	for frame, more := frames.Next(); more && at == ""; frame, more = frames.Next() {
		if strings.HasPrefix(frame.Function, "main.") {
			at = fmt.Sprintf("%s:%d", frame.File[strings.LastIndexByte(frame.File, '/')+1:], frame.Line)
		}
	}
	return Fault{Type: "panic", At: at, Detail: fmt.Sprint(failure)}
}

func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}

func write(out io.Writer, told Object) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text) // which ends with a line end
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(told); err != nil {
		return err
	}
	_, err := out.Write(text.Bytes())
	return err
}
