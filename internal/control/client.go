package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// ErrNobody says that no node serves the folder's socket.
var ErrNobody = errors.New("no node serves the control socket")

// Client speaks to the node that has a data folder. Safe for concurrent use.
type Client struct{ http *http.Client }

// Dial looks whether a node serves the socket in dir; ErrNobody when not.
func Dial(ctx context.Context, dir string) (*Client, error) {
	c, err := dial(ctx, dir)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED): // what a killed node left refuses
		return nil, fmt.Errorf("%w of %s", ErrNobody, dir)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("control socket of %s: %w: be the node's user, or root", dir, os.ErrPermission)
	case err != nil:
		return nil, fmt.Errorf("control socket of %s: %w", dir, err)
	}
	c.Close() // it was a question only
	return &Client{&http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, dir) },
		DisableKeepAlives: true,
	}}}, nil
}

// Backup writes the node's state of a moment after the call to w. After an error what was written is of no use.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	resp, err := c.post(ctx, "backup")
	if err != nil {
		return err
	}
	defer resp.Body.Close() // read to its end, or given up
	if _, err := io.Copy(w, resp.Body); err != nil {
		return err
	}
	if why := resp.Trailer.Get(errorTrailer); why != "" {
		return errors.New(why)
	}
	return nil
}

// Compact has the node give free space of its database back to the disk, and tells the file's sizes in bytes.
func (c *Client) Compact(ctx context.Context) (before, after int64, err error) {
	resp, err := c.post(ctx, "compact")
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close() // read to its end, or given up
	var got sizes
	err = json.NewDecoder(resp.Body).Decode(&got)
	return got.Before, got.After, err
}

// Get asks for what with those parameters and decodes the answer into found. See the package comment.
func (c *Client) Get(ctx context.Context, what string, params url.Values, found any) error {
	return c.ask(ctx, http.MethodGet, what, params, found)
}

// Do has something done, as Get asks.
func (c *Client) Do(ctx context.Context, what string, params url.Values, found any) error {
	return c.ask(ctx, http.MethodPost, what, params, found)
}

func (c *Client) ask(ctx context.Context, method, what string, params url.Values, found any) error {
	resp, err := c.request(ctx, method, what+"?"+params.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close() // read to its end, or given up
	return json.NewDecoder(resp.Body).Decode(found)
}

func (c *Client) post(ctx context.Context, what string) (*http.Response, error) {
	return c.request(ctx, http.MethodPost, what)
}

// request makes a request; an answer other than 200 is an error with what it says.
func (c *Client) request(ctx context.Context, method, what string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://node/v1/"+what, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	why, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	return nil, errors.Join(fmt.Errorf("the node says: %s", strings.TrimSpace(string(why))), err, resp.Body.Close())
}
