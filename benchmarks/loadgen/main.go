// Command loadgen asks an OpenID provider for things, at a fixed rate or as fast as it answers.
//
// It reads one JSON object from each line of standard input and answers each with one line on standard output:
// first the Target, then Commands. What it has signed in stays signed in from one command to the next.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// Target is the server that is asked, and what may be asked of it.
type Target struct {
	Address    string            `json:"address"` // host:port
	Issuer     string            `json:"issuer"`
	Paths      map[string]string `json:"paths"` // of the endpoints, by name
	Clients    []*Client         `json:"clients"`
	Bot        *Client           `json:"bot"`
	App        *Client           `json:"app"` // public, with the authorization challenge endpoint
	Service    *Client           `json:"service"`
	FirstPhone uint64            `json:"first_phone"` // the digits of the first of the test numbers
	Phones     uint64            `json:"phones"`
	Code       string            `json:"code"`
	Messages   *Messages         `json:"messages"`
	Processes  map[string][]int  `json:"processes"` // whose work is counted, by name
	JWKS       json.RawMessage   `json:"jwks"`      // of what it signs with
}

// Client is an OAuth client and how it authenticates; Authorization is empty for a public one.
type Client struct {
	ID            string `json:"client_id"`
	Authorization string `json:"authorization"`
	RedirectURI   string `json:"redirect_uri"`
	Scope         string `json:"scope"`
}

// Command is one thing to do: exactly one of its members is there.
type Command struct {
	SignIn int      `json:"sign_in"` // so many customers, each by a journey
	Adopt  []string `json:"adopt"`   // refresh tokens that somebody else was given, of the clients in turn
	Codes  int      `json:"codes"`   // authorization codes by single sign-on, for the scenario `exchange`
	Stage  *Stage   `json:"stage"`
}

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
}

func serve() error {
	lines := json.NewDecoder(bufio.NewReader(os.Stdin))
	answers := json.NewEncoder(os.Stdout)
	var target Target
	if err := lines.Decode(&target); err != nil {
		return fmt.Errorf("the target: %w", err)
	}
	world, err := newWorld(&target)
	if err != nil {
		return fmt.Errorf("the messages: %w", err)
	}
	for lines.More() {
		var command Command
		if err := lines.Decode(&command); err != nil {
			return fmt.Errorf("a command: %w", err)
		}
		answer, err := world.do(&command)
		if err != nil {
			return err
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) do(command *Command) (any, error) {
	switch {
	case command.SignIn > 0:
		return "signed in", w.signIn(command.SignIn)
	case command.Adopt != nil:
		return "adopted", w.adopt(command.Adopt)
	case command.Codes > 0:
		return "codes made", w.makeCodes(command.Codes)
	case command.Stage != nil:
		return w.run(command.Stage)
	}
	return nil, fmt.Errorf("an empty command")
}
