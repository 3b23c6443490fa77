package main

import (
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	longest    = int64(time.Minute / time.Microsecond)
	digits     = 3           // of a latency that count
	afterEnd   = time.Second // in which what is late may still be asked
	faultsTold = 5
)

// Stage is one measurement. With a Rate (operations per second) arrivals are at equal distances, whatever the
// server does, and wait for a free connection; without one every connection asks again as soon as it is answered.
type Stage struct {
	Shares      map[string]float64 `json:"shares"` // of each scenario
	Rate        float64            `json:"rate"`
	Seconds     float64            `json:"seconds"`
	Operations  int64              `json:"operations"` // after which the stage ends before its time; 0 is no end
	Connections int                `json:"connections"`
}

// Result is what came of a stage. Latencies are of requests. The first request of an operation is timed from its
// intended start, each later one from its sending: a customer goes on when the answer is there.
type Result struct {
	Seconds    float64            `json:"seconds"`
	Requests   int64              `json:"requests"` // that were answered as they should be
	Operations int64              `json:"operations"`
	P50        float64            `json:"p50_ms"`
	P90        float64            `json:"p90_ms"`
	P99        float64            `json:"p99_ms"`
	P999       float64            `json:"p99_9_ms"`
	Longest    float64            `json:"longest_ms"`
	Errors     int64              `json:"errors"`
	Refused    int64              `json:"refused"`  // 503
	Unserved   int64              `json:"unserved"` // arrivals that found no free connection until the end
	Faults     []string           `json:"faults"`
	CPU        map[string]float64 `json:"cpu_seconds"`  // by process
	Memory     map[string]int64   `json:"memory_bytes"` // by process, at the end
}

type tally struct {
	sync.Mutex
	Result
	latencies *hdrhistogram.Histogram
}

func (t *tally) latency(took time.Duration) {
	microseconds := took.Microseconds()
	if microseconds > longest {
		microseconds = longest
	}
	t.latencies.RecordValue(microseconds) //nolint:errcheck // it is in range
}

func (t *tally) finished(err error) {
	t.Lock()
	defer t.Unlock()
	switch {
	case err == nil:
		t.Operations++
	case errors.As(err, &refused{}):
		t.Refused++
	default:
		t.Errors++
		if len(t.Faults) < faultsTold {
			t.Faults = append(t.Faults, err.Error())
		}
	}
}

func (w *World) run(stage *Stage) (*Result, error) {
	choose, err := chooser(stage.Shares)
	if err != nil {
		return nil, err
	}
	t := &tally{latencies: hdrhistogram.New(1, longest, digits)}
	t.Faults = []string{}
	before, err := measureProcesses(w.target.Processes)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	length := time.Duration(stage.Seconds * float64(time.Second))
	arrivals := closedLoop(began, length, stage.Operations)
	if stage.Rate > 0 {
		arrivals = openModel(began, length, stage.Rate)
	}
	var workers sync.WaitGroup
	for i := 0; i < stage.Connections; i++ {
		workers.Add(1)
		go func(seed int64) {
			defer workers.Done()
			w.work(t, arrivals, began.Add(length+afterEnd), choose, rand.New(rand.NewSource(seed)))
		}(int64(i))
	}
	workers.Wait()
	took := time.Since(began)
	after, err := measureProcesses(w.target.Processes)
	if err != nil {
		return nil, err
	}
	return t.summary(took, before, after), nil
}

// work is one connection: it takes arrivals until there are no more.
func (w *World) work(t *tally, arrivals func() (time.Time, bool), end time.Time, choose func(*rand.Rand) Scenario, random *rand.Rand) {
	var due time.Time
	c := newConnection(w.target.Address, func(began time.Time, status int) {
		if !due.IsZero() {
			began, due = due, time.Time{}
		}
		if status < 400 {
			t.Lock()
			t.Requests++
			t.latency(time.Since(began))
			t.Unlock()
		}
	})
	defer c.close()
	for {
		arrival, ok := arrivals()
		if !ok {
			return
		}
		if now := time.Now(); now.After(end) {
			t.Lock()
			t.Unserved++
			t.latency(now.Sub(arrival)) // it would have been at least so long
			t.Unlock()
			continue
		}
		due = arrival
		t.finished(choose(random)(w, c))
	}
}

func closedLoop(began time.Time, length time.Duration, most int64) func() (time.Time, bool) {
	end := began.Add(length)
	var taken atomic.Int64
	return func() (time.Time, bool) {
		now := time.Now()
		return now, now.Before(end) && (most == 0 || taken.Add(1) <= most)
	}
}

func openModel(began time.Time, length time.Duration, rate float64) func() (time.Time, bool) {
	number := int(length.Seconds() * rate)
	waiting := make(chan time.Time, number)
	go func() {
		for i := 0; i < number; i++ {
			due := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
			// The runtime's timers are as much as a millisecond late: more than an answer takes.
			if wait := time.Until(due); wait > 0 {
				pause := syscall.NsecToTimespec(wait.Nanoseconds())
				syscall.Nanosleep(&pause, nil) //nolint:errcheck // woken early, it is early by microseconds
			}
			waiting <- due
		}
		close(waiting)
	}()
	return func() (time.Time, bool) {
		due, ok := <-waiting
		return due, ok
	}
}

// chooser picks scenarios in proportion to their shares.
func chooser(shares map[string]float64) (func(*rand.Rand) Scenario, error) {
	var picked []Scenario
	var ends []float64
	total := 0.0
	for name, share := range shares {
		scenario, known := scenarios[name]
		if !known {
			return nil, fmt.Errorf("no scenario is called %q", name)
		}
		total += share
		picked, ends = append(picked, scenario), append(ends, total)
	}
	return func(random *rand.Rand) Scenario {
		at := random.Float64() * total
		for i, end := range ends {
			if at < end {
				return picked[i]
			}
		}
		return picked[len(picked)-1]
	}, nil
}

func (t *tally) summary(took time.Duration, before, after map[string]usage) *Result {
	t.Seconds = took.Seconds()
	percentile := func(of float64) float64 { return float64(t.latencies.ValueAtQuantile(of)) / 1000 }
	t.P50, t.P90, t.P99, t.P999 = percentile(50), percentile(90), percentile(99), percentile(99.9)
	t.Longest = float64(t.latencies.Max()) / 1000
	t.CPU, t.Memory = map[string]float64{}, map[string]int64{}
	for name, used := range after {
		t.CPU[name] = float64(used.ticks-before[name].ticks) / ticksPerSecond
		t.Memory[name] = used.memory
	}
	return &t.Result
}
