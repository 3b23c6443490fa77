package main

import (
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const afterEnd = time.Second // in which what is late may still be asked

// Stage is one measurement. With a Rate (operations per second) arrivals are at equal distances, whatever the
// server does, and wait for a free connection; without one every connection asks again as soon as it is answered.
type Stage struct {
	Shares      map[string]float64 `json:"shares"` // of each scenario
	Rate        float64            `json:"rate"`
	Seconds     float64            `json:"seconds"`
	Operations  int64              `json:"operations"` // after which the stage ends before its time; 0 is no end
	Connections int                `json:"connections"`
}

func (w *World) run(stage *Stage) (*Result, error) {
	choose, err := chooser(stage.Shares)
	if err != nil {
		return nil, err
	}
	t := newTally()
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
	k := &clerk{tally: t}
	c := newConnection(w.target.Address, k)
	defer c.close()
	for {
		arrival, ok := arrivals()
		if !ok {
			return
		}
		if now := time.Now(); now.After(end) {
			k.unserved(now.Sub(arrival))
			continue
		}
		k.due, k.spent = arrival, 0
		k.finished(choose(random)(w, c))
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
