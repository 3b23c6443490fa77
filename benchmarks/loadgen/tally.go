package main

import (
	"errors"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	longest    = int64(time.Minute / time.Microsecond)
	digits     = 3 // of a latency that count
	faultsTold = 5
)

// Result is what came of a stage. Latencies are of requests. The first request of an operation is timed from its
// intended start, each later one from its sending: a customer goes on when the answer is there. An operation takes as
// long as its answers together; the way of a message, from the answer that announced it, is apart.
type Result struct {
	Seconds    float64            `json:"seconds"`
	Requests   int64              `json:"requests"` // that were answered as they should be
	Operations int64              `json:"operations"`
	P50        float64            `json:"p50_ms"`
	P90        float64            `json:"p90_ms"`
	P99        float64            `json:"p99_ms"`
	P999       float64            `json:"p99_9_ms"`
	Longest    float64            `json:"longest_ms"`
	Operation  Halves             `json:"operation"`
	Message    Halves             `json:"message"`
	Errors     int64              `json:"errors"`
	Refused    int64              `json:"refused"`  // 503
	Unserved   int64              `json:"unserved"` // arrivals that found no free connection until the end
	Faults     []string           `json:"faults"`
	CPU        map[string]float64 `json:"cpu_seconds"`  // by process
	Memory     map[string]int64   `json:"memory_bytes"` // by process, at the end
}

// Halves are what half and what all but a hundredth stay below.
type Halves struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

type tally struct {
	sync.Mutex
	Result
	requests, operations, messages *hdrhistogram.Histogram
}

func newTally() *tally {
	made := func() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, digits) }
	return &tally{Result: Result{Faults: []string{}}, requests: made(), operations: made(), messages: made()}
}

func record(histogram *hdrhistogram.Histogram, took time.Duration) {
	microseconds := took.Microseconds()
	if microseconds > longest {
		microseconds = longest
	}
	if microseconds < 0 {
		microseconds = 0 // a message that was faster than the answer
	}
	histogram.RecordValue(microseconds) //nolint:errcheck // it is in range
}

// clerk notes in the tally what happens on one connection.
type clerk struct {
	*tally
	due   time.Time     // of the next request, if that is the first of an operation
	spent time.Duration // on the operation so far
}

func (k *clerk) answer(began time.Time, good bool) {
	if !k.due.IsZero() {
		began, k.due = k.due, time.Time{}
	}
	took := time.Since(began)
	k.spent += took
	if good {
		k.Lock()
		k.Requests++
		record(k.requests, took)
		k.Unlock()
	}
}

func (k *clerk) message(took time.Duration) {
	k.Lock()
	record(k.messages, took)
	k.Unlock()
}

func (k *clerk) unserved(since time.Duration) {
	k.Lock()
	k.Unserved++
	record(k.requests, since) // it would have been at least so long
	k.Unlock()
}

func (k *clerk) finished(err error) {
	k.Lock()
	defer k.Unlock()
	switch {
	case err == nil:
		k.Operations++
		record(k.operations, k.spent)
	case errors.As(err, &refused{}):
		k.Refused++
	default:
		k.Errors++
		if len(k.Faults) < faultsTold {
			k.Faults = append(k.Faults, err.Error())
		}
	}
}

func (t *tally) summary(took time.Duration, before, after map[string]usage) *Result {
	t.Seconds = took.Seconds()
	t.P50, t.P90 = percentile(t.requests, 50), percentile(t.requests, 90)
	t.P99, t.P999 = percentile(t.requests, 99), percentile(t.requests, 99.9)
	t.Longest = percentile(t.requests, 100)
	t.Operation = Halves{percentile(t.operations, 50), percentile(t.operations, 99)}
	t.Message = Halves{percentile(t.messages, 50), percentile(t.messages, 99)}
	t.CPU, t.Memory = map[string]float64{}, map[string]int64{}
	for name, used := range after {
		t.CPU[name] = float64(used.ticks-before[name].ticks) / ticksPerSecond
		t.Memory[name] = used.memory
	}
	return &t.Result
}

// percentile is in milliseconds.
func percentile(of *hdrhistogram.Histogram, part float64) float64 {
	return float64(of.ValueAtQuantile(part)) / 1000
}
