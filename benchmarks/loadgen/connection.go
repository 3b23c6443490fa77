package main

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	patience  = 10 * time.Second // for one answer
	idleLimit = 3 * time.Second  // servers close what is idle for longer: 5 s is common
)

// connection is one kept HTTP/1.1 connection, with one request in flight.
//
// fasthttp's messages without its client: a client that repeats a request by itself would hide a lost answer.
type connection struct {
	address  string
	conn     net.Conn
	reader   *bufio.Reader
	writer   *bufio.Writer
	lastUsed time.Time
	request  fasthttp.Request
	response fasthttp.Response
	watcher  watcher
}

// watcher is told what happens on a connection.
type watcher interface {
	answer(began time.Time, good bool)
	message(took time.Duration) // from the answer that announced it
}

func newConnection(address string, watcher watcher) *connection {
	c := &connection{address: address, watcher: watcher}
	c.request.Header.DisableNormalizing()
	c.request.Header.SetNoDefaultContentType(true)
	return c
}

func (c *connection) get(path, authorization, cookie string) ([]byte, error) {
	c.prepare(fasthttp.MethodGet, path, authorization, cookie)
	return c.ask(0)
}

func (c *connection) post(path, authorization, cookie string, form url.Values) ([]byte, error) {
	c.preparePost(path, authorization, cookie, form)
	return c.ask(0)
}

// step is a request at the authorization challenge endpoint: 403 says what comes next.
func (c *connection) step(path string, form url.Values) ([]byte, error) {
	c.preparePost(path, "", "", form)
	return c.ask(fasthttp.StatusForbidden)
}

func (c *connection) preparePost(path, authorization, cookie string, form url.Values) {
	c.prepare(fasthttp.MethodPost, path, authorization, cookie)
	c.request.Header.SetContentType("application/x-www-form-urlencoded")
	c.request.SetBodyString(form.Encode())
}

func (c *connection) prepare(method, path, authorization, cookie string) {
	c.request.Reset()
	c.request.Header.DisableNormalizing()
	c.request.Header.SetMethod(method)
	c.request.SetRequestURI(path)
	c.request.Header.SetHost(c.address)
	if authorization != "" {
		c.request.Header.Set("Authorization", authorization)
	}
	if cookie != "" {
		c.request.Header.Set("Cookie", cookie)
	}
}

// refused is a 503: the server sheds load, and nothing has happened.
type refused struct{}

func (refused) Error() string { return "503" }

// ask sends the prepared request. The body is good until the next one; the status is below 400, or is `expected`.
func (c *connection) ask(expected int) ([]byte, error) {
	began := time.Now()
	if c.conn != nil && began.Sub(c.lastUsed) > idleLimit {
		c.close()
	}
	if err := c.exchange(); err != nil {
		c.close()
		return nil, fmt.Errorf("the connection: %w", err)
	}
	c.lastUsed = time.Now()
	if c.response.ConnectionClose() {
		c.close()
	}
	status := c.response.StatusCode()
	good := status < fasthttp.StatusBadRequest || status == expected
	c.watcher.answer(began, good)
	if status == fasthttp.StatusServiceUnavailable {
		return nil, refused{}
	}
	if !good {
		return nil, fmt.Errorf("%s: %d: %.300s", c.request.URI().Path(), status, c.response.Body())
	}
	return c.response.Body(), nil
}

func (c *connection) exchange() error {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.address, patience)
		if err != nil {
			return err
		}
		c.conn, c.reader, c.writer = conn, bufio.NewReader(conn), bufio.NewWriter(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := c.request.Write(c.writer); err != nil {
		return err
	}
	if err := c.writer.Flush(); err != nil {
		return err
	}
	return c.response.Read(c.reader)
}

func (c *connection) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// location is where a redirect leads, and an error if the answer is none.
func (c *connection) location() (string, error) {
	if status := c.response.StatusCode(); status != fasthttp.StatusSeeOther && status != fasthttp.StatusFound {
		return "", fmt.Errorf("%s: %d instead of a redirect", c.request.URI().Path(), status)
	}
	return string(c.response.Header.Peek("Location")), nil
}

// cookies are what the answer sets, as a Cookie header, beside those that were there before.
func (c *connection) cookies(before string) string {
	held := before
	c.response.Header.VisitAllCookie(func(_, value []byte) {
		pair, _, _ := strings.Cut(string(value), ";")
		if held != "" {
			held += "; "
		}
		held += pair
	})
	return held
}
