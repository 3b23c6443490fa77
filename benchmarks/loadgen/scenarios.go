package main

import (
	"fmt"
	"net/url"

	"github.com/tidwall/gjson"
)

// Scenario is one operation of one customer or client; the connection counts its requests.
type Scenario func(*World, *connection) error

var scenarios = map[string]Scenario{
	"refresh":            refresh,
	"exchange":           exchange,
	"sso":                sso,
	"journey":            journey,
	"phone":              phoneGrant,
	"phone_message":      phoneGrantByMessage,
	"challenge":          challenge,
	"client_credentials": clientCredentials,
	"userinfo":           userinfo,
	"introspection":      introspection,
	"discovery":          discovery,
	"ceiling":            ceiling,
}

const phoneOTP = "urn:x5id:oauth:grant-type:phone-otp"

// token asks the token endpoint as a client.
func (w *World) token(c *connection, client *Client, form url.Values) ([]byte, error) {
	if client.Authorization == "" {
		form.Set("client_id", client.ID)
	}
	return c.post(w.target.Paths["token"], client.Authorization, "", form)
}

// refresh rotates: with the token that the answer before gave, and for another one.
func refresh(w *World, c *connection) error {
	session := w.take()
	defer w.put(session)
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {session.refresh}}
	body, err := w.token(c, session.client, form)
	if err != nil {
		return err
	}
	return w.keep(session, body, "")
}

// keep takes a customer's new tokens, after a look at them.
func (w *World) keep(session *Session, body []byte, nonce string) error {
	tokens, err := w.checker.tokens(body, session.client)
	if err != nil {
		return err
	}
	sub, sid := tokens.Claims.Get("sub").Str, tokens.Claims.Get("sid").Str
	if session.sub != "" && (sub != session.sub || sid != session.sid) {
		return fmt.Errorf("somebody else's tokens: %s", tokens.Claims.Raw)
	}
	if tokens.Claims.Get("nonce").Str != nonce {
		return fmt.Errorf("a wrong nonce: %s", tokens.Claims.Raw)
	}
	if tokens.Refresh == session.refresh || tokens.Access == session.access {
		return fmt.Errorf("a token that is not a new one")
	}
	session.sub, session.sid = sub, sid
	session.refresh, session.access = tokens.Refresh, tokens.Access
	return nil
}

// exchange redeems one of the codes that were made beforehand.
func exchange(w *World, c *connection) error {
	select {
	case made := <-w.codes:
		return w.redeem(c, made)
	default:
		return fmt.Errorf("no code is left")
	}
}

// redeem exchanges a code for tokens, which a customer then has; of several codes of one customer the last counts.
func (w *World) redeem(c *connection, made *Code) error {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {made.code}, "code_verifier": {verifier},
		"redirect_uri": {made.session.client.RedirectURI},
	}
	body, err := w.token(c, made.session.client, form)
	if err != nil {
		return err
	}
	made.session.mutex.Lock()
	defer made.session.mutex.Unlock()
	return w.keep(made.session, body, made.nonce)
}

// sso is a customer who is signed in already and opens another app: authorization at once, and the exchange.
func sso(w *World, c *connection) error {
	session := w.take()
	defer w.put(session)
	made, err := w.authorize(c, session)
	if err != nil {
		return err
	}
	return w.redeem(c, made)
}

// phoneGrant is the phone grant with a test number.
func phoneGrant(w *World, c *connection) error {
	_, err := w.phoneGrant(c, w.phone(), func() (string, error) { return w.target.Code, nil })
	return err
}

func (w *World) phoneGrant(c *connection, phone string, code func() (string, error)) (*Tokens, error) {
	bot := w.target.Bot
	body, err := c.post(w.target.Paths["otp"], bot.Authorization, "", url.Values{"phone": {phone}})
	if err != nil {
		return nil, err
	}
	session := gjson.GetBytes(body, "otp_session").String()
	otp, err := code()
	if err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {phoneOTP}, "otp_session": {session}, "otp": {otp}, "scope": {bot.Scope}}
	if body, err = w.token(c, bot, form); err != nil {
		return nil, err
	}
	return w.checker.tokens(body, bot)
}

func clientCredentials(w *World, c *connection) error {
	service := w.target.Service
	form := url.Values{"grant_type": {"client_credentials"}}
	if service.Scope != "" {
		form.Set("scope", service.Scope)
	}
	body, err := w.token(c, service, form)
	if err != nil {
		return err
	}
	return w.checker.service(body)
}

func userinfo(w *World, c *connection) error {
	session := w.take()
	defer w.put(session)
	body, err := c.get(w.target.Paths["userinfo"], "Bearer "+session.access, "")
	if err != nil {
		return err
	}
	told := gjson.GetManyBytes(body, "sub", "phone_number", "phone_number_verified")
	if told[0].Str != session.sub || told[1].Str != session.phone || !told[2].Bool() {
		return fmt.Errorf("somebody else's claims: %s", body)
	}
	return nil
}

// introspection is a confidential client asking about its own access token.
func introspection(w *World, c *connection) error {
	session := w.take()
	for session.client.Authorization == "" {
		w.put(session)
		session = w.take()
	}
	defer w.put(session)
	form := url.Values{"token": {session.access}}
	body, err := c.post(w.target.Paths["introspection"], session.client.Authorization, "", form)
	if err != nil {
		return err
	}
	told := gjson.GetManyBytes(body, "active", "sub", "client_id")
	if !told[0].Bool() || told[1].Str != session.sub || told[2].Str != session.client.ID {
		return fmt.Errorf("a wrong introspection: %s", body)
	}
	return nil
}

func discovery(w *World, c *connection) error {
	body, err := c.get(w.target.Paths["discovery"], "", "")
	if err == nil && gjson.GetBytes(body, "issuer").Str != w.target.Issuer {
		err = fmt.Errorf("somebody else's metadata: %.200s", body)
	}
	return err
}

func ceiling(w *World, c *connection) error {
	body, err := c.get(w.target.Paths["ceiling"], "", "")
	if err != nil {
		return err
	}
	for _, name := range []string{"access_token", "id_token"} {
		if err := w.checker.sometimesVerify(gjson.GetBytes(body, name).String()); err != nil {
			return err
		}
	}
	return nil
}
