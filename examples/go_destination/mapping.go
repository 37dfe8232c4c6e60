package main

import "strings"

// A message and settings in, requests out. Pure: no network, no files, no clock.

const mostRecords = 50 // that the vendor takes in one request

// Message is well-formed: the fields of its call are what they should be. What else stands at its root
// is as it came, of any type.
type Message Object

func (m Message) text(name string) string {
	text, _ := m[name].(string)
	return text
}

// Request is one HTTP request, as data: the host sends it.
type Request struct {
	URL        string     `json:"url"`
	Auth       *Auth      `json:"auth,omitempty"`
	JSON       Body       `json:"json"`
	MessageIDs []string   `json:"messageIds,omitempty"`
	UserKey    *string    `json:"userKey,omitempty"`
	Notes      []Note     `json:"notes,omitempty"`
	Items      [][]string `json:"items,omitempty"`
	Identity   *string    `json:"identity,omitempty"`
}

// Auth is a bearer token.
type Auth struct {
	Scheme string `json:"scheme"`
	Token  string `json:"token"`
}

// Body is a list of records, under the name of what they are.
type Body map[string][]Object

func onIdentify(message Message, settings Settings) ([]Request, error) {
	return request("users", message, Object{"traits": message["traits"]}, settings)
}

func onTrack(message Message, settings Settings) ([]Request, error) {
	if strings.TrimSpace(message.text("event")) == "" {
		return nil, &Reject{"missing_event", "it is blank or missing: name what the user did", "event"}
	}
	return request("events", message, Object{
		"event": message.text("event"), "properties": message["properties"],
	}, settings)
}

func onPage(message Message, settings Settings) ([]Request, error) {
	return viewed("Page viewed", message, settings)
}

func onScreen(message Message, settings Settings) ([]Request, error) {
	return viewed("Screen viewed", message, settings)
}

func viewed(event string, message Message, settings Settings) ([]Request, error) {
	fields := Object{"event": event, "properties": message["properties"]}
	put(fields, "name", message.text("name"))
	put(fields, "category", message.text("category"))
	return request("events", message, fields, settings)
}

func onGroup(message Message, settings Settings) ([]Request, error) {
	if message.text("groupId") == "" {
		return nil, &Reject{"missing_group", "it is blank or missing: name the group", "groupId"}
	}
	fields := Object{"groupId": message.text("groupId"), "traits": message["traits"]}
	return request("groups", message, fields, settings)
}

func onAlias(message Message, _ Settings) ([]Request, error) {
	nothing := &Ignored{Reason: "the vendor has no use for alias calls: send an identify with both ids"}
	if message.text("previousId") != "" {
		nothing.Notes = []Note{{"dropped", "previousId", "the vendor ties ids by records with both"}}
	}
	return nil, nothing
}

// pack puts requests that follow each other and go to one place together. The order stays.
func pack(requests []Request, _ Settings) []Request {
	packed := []Request{}
	for _, single := range requests {
		for list, records := range single.JSON {
			last := len(packed) - 1
			if last >= 0 && packed[last].URL == single.URL && len(packed[last].JSON[list]) < mostRecords {
				packed[last].JSON[list] = append(packed[last].JSON[list], records...)
				packed[last].MessageIDs = append(packed[last].MessageIDs, single.MessageIDs...)
				packed[last].Notes = append(packed[last].Notes, single.Notes...)
				packed[last].Items = append(packed[last].Items, single.MessageIDs)
				continue
			}
			single.Items = [][]string{append([]string{}, single.MessageIDs...)}
			packed = append(packed, single)
		}
	}
	return packed
}

func request(list string, message Message, fields Object, settings Settings) ([]Request, error) {
	if message.text("userId") == "" && message.text("anonymousId") == "" {
		return nil, &Reject{"missing_identity", "send a userId or an anonymousId", "userId"}
	}
	fields["id"] = message.text("messageId")
	fields["context"] = message["context"]
	put(fields, "userId", message.text("userId"))
	put(fields, "anonymousId", message.text("anonymousId"))
	put(fields, "at", message.text("timestamp"))
	return []Request{{
		URL:  originOf(settings) + "/v1/" + list,
		Auth: &Auth{"bearer", settings.APIKey},
		JSON: Body{list: {fields}},
	}}, nil
}

func put(fields Object, name, value string) {
	if value != "" {
		fields[name] = value
	}
}
