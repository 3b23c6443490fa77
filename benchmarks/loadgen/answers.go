package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"sync/atomic"

	"github.com/tidwall/gjson"
)

const verifyEvery = 100 // token answers: to verify all signatures would cost as much as to make them

// Tokens is a token answer (RFC 6749 5.1).
type Tokens struct {
	Access, ID, Refresh string
	Claims              gjson.Result // of the ID token
}

// checker knows what makes an answer right.
type checker struct {
	issuer  string
	keys    map[string]*ecdsa.PublicKey
	answers atomic.Int64
}

// newChecker takes the ES256 keys of a JWK Set.
func newChecker(issuer string, jwks []byte) *checker {
	keys := map[string]*ecdsa.PublicKey{}
	for _, key := range gjson.GetBytes(jwks, "keys").Array() {
		if key.Get("crv").Str == "P-256" {
			x, _ := base64.RawURLEncoding.DecodeString(key.Get("x").Str)
			y, _ := base64.RawURLEncoding.DecodeString(key.Get("y").Str)
			keys[key.Get("kid").Str] = &ecdsa.PublicKey{
				Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y),
			}
		}
	}
	return &checker{issuer: issuer, keys: keys}
}

// tokens reads the answer to a customer's client: form, issuer, client, at_hash; of one in a hundred the signatures.
func (c *checker) tokens(body []byte, client *Client) (*Tokens, error) {
	found := gjson.GetManyBytes(body, "access_token", "id_token", "refresh_token", "token_type", "expires_in")
	tokens := &Tokens{Access: found[0].String(), ID: found[1].String(), Refresh: found[2].String()}
	if tokens.Access == "" || tokens.Refresh == "" || found[3].Str != "Bearer" || found[4].Int() <= 0 {
		return nil, fmt.Errorf("not a token answer: %.300s", body)
	}
	var err error
	if tokens.Claims, err = claims(tokens.ID); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(tokens.Access))
	audience := tokens.Claims.Get("aud")
	if audience.IsArray() {
		audience = audience.Get("0")
	}
	hash := tokens.Claims.Get("at_hash") // OpenID Connect Core 3.1.3.6: not every server has it
	if tokens.Claims.Get("iss").Str != c.issuer || audience.Str != client.ID ||
		hash.Exists() && hash.Str != base64.RawURLEncoding.EncodeToString(sum[:16]) {
		return nil, fmt.Errorf("a wrong ID token: %s", tokens.Claims.Raw)
	}
	return tokens, c.sometimesVerify(tokens.ID)
}

// service reads the answer to a service, which has no ID token.
func (c *checker) service(body []byte) error {
	access := gjson.GetBytes(body, "access_token").String()
	if access == "" || gjson.GetBytes(body, "token_type").Str != "Bearer" {
		return fmt.Errorf("not a token answer: %.300s", body)
	}
	if strings.Count(access, ".") != 2 { // not a JWT: that is the server's choice
		return nil
	}
	return c.sometimesVerify(access)
}

func (c *checker) sometimesVerify(token string) error {
	if c.answers.Add(1)%verifyEvery != 1 {
		return nil
	}
	signed, signature := token[:strings.LastIndexByte(token, '.')], token[strings.LastIndexByte(token, '.')+1:]
	header, err := part(token, 0)
	if err != nil {
		return err
	}
	key := c.keys[gjson.GetBytes(header, "kid").Str]
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || key == nil || len(raw) != 64 {
		return fmt.Errorf("a signature that cannot be verified: %s", header)
	}
	sum := sha256.Sum256([]byte(signed))
	if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
		return fmt.Errorf("a wrong signature: %s", header)
	}
	return nil
}

func claims(token string) (gjson.Result, error) {
	payload, err := part(token, 1)
	if err != nil {
		return gjson.Result{}, err
	}
	return gjson.ParseBytes(payload), nil
}

func part(token string, index int) ([]byte, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("not a JWT: %.100s", token)
	}
	return base64.RawURLEncoding.DecodeString(parts[index])
}
