package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"
)

// Messages says where the server's message provider is, which we are, and whose phones it reaches.
type Messages struct {
	Address    string `json:"address"` // host:port
	FirstPhone uint64 `json:"first_phone"`
	Phones     uint64 `json:"phones"`
}

// handset is a customer's phone. Who has taken it from the sink has it for themselves.
type handset struct {
	phone string
	sub   string // of its customer, once they have signed in
	inbox chan message
}

type message struct {
	code    string
	arrived time.Time
}

// sink takes the messages of all handsets: a JSON object with the phone and the code.
type sink struct {
	byPhone map[string]*handset
	idle    chan *handset // first in, first out: all of them take part
}

func openSink(settings *Messages) (*sink, error) {
	s := &sink{map[string]*handset{}, make(chan *handset, settings.Phones)}
	for i := uint64(0); i < settings.Phones; i++ {
		h := &handset{phone: "+" + strconv.FormatUint(settings.FirstPhone+i, 10), inbox: make(chan message, 1)}
		s.byPhone[h.phone] = h
		s.idle <- h
	}
	listener, err := net.Listen("tcp4", settings.Address)
	if err != nil {
		return nil, err
	}
	go fasthttp.Serve(listener, s.deliver) //nolint:errcheck // it ends with the program
	return s, nil
}

// deliver drops what nobody can get: whoever waits for it finds out.
func (s *sink) deliver(request *fasthttp.RequestCtx) {
	told := gjson.GetManyBytes(request.PostBody(), "phone", "code")
	if h := s.byPhone[told[0].Str]; h != nil {
		select {
		case h.inbox <- message{told[1].String(), time.Now()}:
		default:
		}
	}
}

// take has no message from before in its inbox.
func (s *sink) take() *handset {
	h := <-s.idle
	select {
	case <-h.inbox:
	default:
	}
	return h
}

func (s *sink) put(h *handset) { s.idle <- h }

// code waits for the message that the last answer has announced.
func (h *handset) code(c *connection) (string, error) {
	announced := c.lastUsed
	select {
	case got := <-h.inbox:
		c.watcher.message(got.arrived.Sub(announced))
		return got.code, nil
	case <-time.After(patience):
		return "", fmt.Errorf("no message came")
	}
}

// signedIn looks whose tokens they are.
func (h *handset) signedIn(tokens *Tokens) error {
	sub := tokens.Claims.Get("sub").Str
	if h.sub != "" && h.sub != sub {
		return fmt.Errorf("somebody else's tokens: %s", tokens.Claims.Raw)
	}
	h.sub = sub
	return nil
}

// phoneGrantByMessage is the phone grant with a code that came to a phone.
func phoneGrantByMessage(w *World, c *connection) error {
	h := w.sink.take()
	defer w.sink.put(h)
	tokens, err := w.phoneGrant(c, h.phone, func() (string, error) { return h.code(c) })
	if err != nil {
		return err
	}
	return h.signedIn(tokens)
}

// challenge is a sign-in at the authorization challenge endpoint, from the phone to the tokens.
func challenge(w *World, c *connection) error {
	h := w.sink.take()
	defer w.sink.put(h)
	hash := sha256.Sum256([]byte(verifier))
	form := url.Values{
		"response_type": {"code"}, "scope": {w.target.App.Scope}, "phone": {h.phone},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(hash[:])}, "code_challenge_method": {"S256"},
	}
	for {
		form.Set("client_id", w.target.App.ID)
		body, err := c.step(w.target.Paths["challenge"], form)
		if err != nil {
			return err
		}
		form = url.Values{"auth_session": {gjson.GetBytes(body, "auth_session").String()}}
		switch {
		case gjson.GetBytes(body, "authorization_code").Exists():
			return w.finishChallenge(c, h, gjson.GetBytes(body, "authorization_code").String())
		case gjson.GetBytes(body, "tries_left").Exists():
			return fmt.Errorf("a wrong code: %s", body)
		case gjson.GetBytes(body, "otp_required").Bool():
			code, err := h.code(c)
			if err != nil {
				return err
			}
			form.Set("otp", code)
		case gjson.GetBytes(body, "profile_required").Bool():
			form.Set("given_name", "Anna")
			form.Set("terms_accepted", "true")
		default:
			return fmt.Errorf("an unknown step: %s", body)
		}
	}
}

func (w *World) finishChallenge(c *connection, h *handset, code string) error {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}}
	body, err := w.token(c, w.target.App, form)
	if err != nil {
		return err
	}
	tokens, err := w.checker.tokens(body, w.target.App)
	if err != nil {
		return err
	}
	return h.signedIn(tokens)
}
