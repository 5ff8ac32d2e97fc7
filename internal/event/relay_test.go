package event_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"gathering/internal/event"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// relayed is a bell with a relay on a connection to the database of its own.
func relayed(t *testing.T, options store.Options) (*event.Bell, *store.DB) {
	t.Helper()
	db := storetest.Open(t, options)
	channel, ok := db.Channel()
	if !ok {
		t.Fatal("there is no channel")
	}
	var b event.Bell
	listens, cancel := b.Subscribe("listens")
	defer cancel()
	r := b.Relay(channel, slog.New(slog.DiscardHandler))
	t.Cleanup(r.Stop)
	heard(t, listens, "everything to be rung when it begins to listen")
	return &b, db
}

func heard(t *testing.T, rings <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-rings:
	case <-time.After(20 * time.Second):
		t.Fatalf("waited in vain for %s", what)
	}
}

func TestRelay(t *testing.T) {
	t.Parallel()
	options := storetest.PostgreSQL(t)
	elsewhere, _ := relayed(t, storetest.PostgreSQL(t))
	here, _ := relayed(t, options)
	there, _ := relayed(t, store.Options{URL: options.URL})
	silent, cancelSilent := elsewhere.Subscribe("a")
	defer cancelSilent()
	mine, cancelMine := here.Subscribe("a")
	defer cancelMine()
	others, cancelOthers := there.Subscribe("a")
	defer cancelOthers()
	unrelated, cancelUnrelated := there.Subscribe("b")
	defer cancelUnrelated()

	here.Ring("a")
	if !rung(mine) {
		t.Error("a ring is to be heard at once in its own process")
	}
	heard(t, others, "the ring elsewhere")
	for i := range 3 { // messages come in order, so that echoes would have come by then
		there.Ring(fmt.Sprint("c", i))
		c, cancel := here.Subscribe(fmt.Sprint("d", i))
		there.Ring(fmt.Sprint("d", i))
		heard(t, c, "the next ring")
		cancel()
	}
	if rung(mine) || rung(others) || rung(unrelated) || rung(silent) {
		t.Error("a ring was heard again, under another topic or in another schema")
	}
	here.RingElsewhere("a")
	heard(t, others, "the ring elsewhere")
	if here.RingHere("b") || !here.RingHere("a") || !rung(mine) {
		t.Error("RingHere is to tell whether somebody listens here")
	}
}

// More topics than a message holds become one.
func TestRelayOfManyTopics(t *testing.T) {
	t.Parallel()
	options := storetest.PostgreSQL(t)
	here, _ := relayed(t, options)
	there, _ := relayed(t, store.Options{URL: options.URL})
	var all []<-chan struct{}
	for i := range 3000 {
		c, cancel := there.Subscribe(fmt.Sprintf("log:run_%026d", i))
		defer cancel()
		all = append(all, c)
	}
	claim, cancel := there.Subscribe("claim")
	defer cancel()
	for i := range all {
		here.Ring(fmt.Sprintf("log:run_%026d", i))
	}
	here.Ring("claim")
	heard(t, claim, "a short topic beside many")
	for i, c := range all {
		heard(t, c, fmt.Sprint("topic ", i))
	}
}

// A connection that was lost is made again, and what may have been missed rung.
func TestRelayAfterALostConnection(t *testing.T) {
	t.Parallel()
	options := storetest.PostgreSQL(t)
	u, err := url.Parse(options.URL)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("application_name", "relay_"+fmt.Sprint(time.Now().UnixNano()))
	u.RawQuery = query.Encode()
	here, _ := relayed(t, store.Options{URL: u.String()})
	there, admin := relayed(t, options)
	rings, cancel := here.Subscribe("whatever")
	defer cancel()
	var n int
	err = admin.Read().QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1`,
		query.Get("application_name")).Scan(&n)
	if err != nil || n == 0 {
		t.Fatalf("cut %d connections: %v", n, err)
	}
	heard(t, rings, "everything to be rung")
	there.Ring("whatever")
	heard(t, rings, "a ring after that")
}
