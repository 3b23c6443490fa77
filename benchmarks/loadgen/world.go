package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	verifier  = random() // RFC 7636 4.1, one for all
	csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)
)

// Session is a customer signed in to one client. Who has taken it from the world has it for themselves.
type Session struct {
	mutex                   sync.Mutex // against codes of one customer that are redeemed at once
	client                  *Client
	phone, cookie, sub, sid string
	refresh, access         string
}

// Code is an authorization code, and what its redemption needs.
type Code struct {
	session     *Session
	code, nonce string
}

// World is all that the requests of one target share.
type World struct {
	target   *Target
	checker  *checker
	sessions chan *Session // first in, first out: all of them take part
	codes    chan *Code
	phones   atomic.Uint64
	sink     *sink // if messages come here
}

func newWorld(target *Target) (*World, error) {
	w := &World{target: target, checker: newChecker(target.Issuer, target.JWKS)}
	if target.Messages == nil {
		return w, nil
	}
	var err error
	w.sink, err = openSink(target.Messages)
	return w, err
}

// nobody watches what is not measured.
type nobody struct{}

func (nobody) answer(time.Time, bool) {}
func (nobody) message(time.Duration)  {}

func (w *World) unmeasured() *connection { return newConnection(w.target.Address, nobody{}) }

func (w *World) take() *Session  { return <-w.sessions }
func (w *World) put(s *Session)  { w.sessions <- s }
func (w *World) room(number int) { w.sessions = make(chan *Session, number) }
func (w *World) phone() string {
	return "+" + strconv.FormatUint(w.target.FirstPhone+w.phones.Add(1)%w.target.Phones, 10)
}

// signIn fills the world with customers, in place of those that were there.
func (w *World) signIn(number int) error {
	w.room(number)
	c := w.unmeasured()
	defer c.close()
	for i := 0; i < number; i++ {
		session := &Session{client: w.target.Clients[i%len(w.target.Clients)], phone: w.phone()}
		if err := w.journey(c, session); err != nil {
			return fmt.Errorf("signing in: %w", err)
		}
		w.put(session)
	}
	return nil
}

// adopt fills the world with customers of whom nothing is known but a refresh token.
func (w *World) adopt(tokens []string) error {
	w.room(len(tokens))
	for i, token := range tokens {
		w.put(&Session{client: w.target.Clients[i%len(w.target.Clients)], refresh: token})
	}
	return nil
}

func (w *World) makeCodes(number int) error {
	w.codes = make(chan *Code, number)
	c := w.unmeasured()
	defer c.close()
	for i := 0; i < number; i++ {
		session := w.take()
		made, err := w.authorize(c, session)
		w.put(session)
		if err != nil {
			return fmt.Errorf("making codes: %w", err)
		}
		w.codes <- made
	}
	return nil
}

// authorize asks for a code in the customer's session, which must come at once.
func (w *World) authorize(c *connection, session *Session) (*Code, error) {
	made := &Code{session: session, nonce: random()}
	if _, err := c.get(w.authorizationRequest(session.client, made.nonce), "", session.cookie); err != nil {
		return nil, err
	}
	location, err := c.location()
	if err != nil {
		return nil, err
	}
	made.code, err = codeOf(location, session.client)
	return made, err
}

func (w *World) authorizationRequest(client *Client, nonce string) string {
	challenge := sha256.Sum256([]byte(verifier))
	return w.target.Paths["authorization"] + "?" + url.Values{
		"response_type": {"code"}, "client_id": {client.ID}, "redirect_uri": {client.RedirectURI},
		"scope": {client.Scope}, "state": {"state"}, "nonce": {nonce}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}.Encode()
}

func codeOf(location string, client *Client) (string, error) {
	parsed, err := url.Parse(location)
	if err != nil {
		return "", err
	}
	code := parsed.Query().Get("code")
	if code == "" || !strings.HasPrefix(location, client.RedirectURI) {
		return "", fmt.Errorf("no code, but a redirect to %s", location)
	}
	return code, nil
}

// journey is a new sign-in on the pages, from the authorization request to the tokens.
func journey(w *World, c *connection) error {
	number := w.phones.Load()
	return w.journey(c, &Session{client: w.target.Clients[number%uint64(len(w.target.Clients))], phone: w.phone()})
}

func (w *World) journey(c *connection, session *Session) error {
	nonce := random()
	if _, err := c.get(w.authorizationRequest(session.client, nonce), "", ""); err != nil {
		return err
	}
	for {
		session.cookie = c.cookies(session.cookie)
		location, err := c.location()
		if err != nil {
			return err
		}
		if strings.HasPrefix(location, session.client.RedirectURI) {
			code, err := codeOf(location, session.client)
			if err != nil {
				return err
			}
			return w.redeem(c, &Code{session: session, code: code, nonce: nonce})
		}
		if err := w.submit(c, session, strings.TrimPrefix(location, w.target.Issuer)); err != nil {
			return err
		}
	}
}

// submit opens a page of the journey and sends its form: which one it is, its path says.
func (w *World) submit(c *connection, session *Session, path string) error {
	page, err := c.get(path, "", session.cookie)
	if err != nil {
		return err
	}
	csrf := csrfField.FindSubmatch(page)
	if csrf == nil {
		return fmt.Errorf("%s: no form", path)
	}
	form := url.Values{"csrf": {string(csrf[1])}}
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "phone":
		form.Set("phone", session.phone)
	case "code":
		form.Set("code", w.target.Code)
	case "profile":
		form.Set("given_name", "Anna")
		form.Set("terms", "accepted")
	default:
		return fmt.Errorf("%s: an unknown page", path)
	}
	_, err = c.post(path, "", session.cookie, form)
	return err
}

func random() string {
	bytes := make([]byte, 32)
	if _, err := rand.Read(bytes); err != nil {
		panic(err) // there is no randomness on this machine
	}
	return base64.RawURLEncoding.EncodeToString(bytes)
}
