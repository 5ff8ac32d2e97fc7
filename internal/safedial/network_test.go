package safedial_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/safedial"
)

func TestParseNetworks(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		"":                            nil,
		"  ":                          nil,
		"10.0.0.0/8":                  {"10.0.0.0/8"},
		"10.0.0.0/8, 127.0.0.1/32":    {"10.0.0.0/8", "127.0.0.1/32"},
		" fd00::/8,::1/128,0.0.0.0/0": {"fd00::/8", "::1/128", "0.0.0.0/0"},
	} {
		networks, err := safedial.ParseNetworks(list)
		var got []string
		for _, n := range networks {
			got = append(got, n.String())
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", list, err, diff)
		}
	}
}

func TestParseNetworksRefuses(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		"10.0.0.0/8,":              {"entry 2 is empty; remove the comma"},
		"127.0.0.1":                {"entry 1 is a single address; write /32 behind it"},
		"::1":                      {"entry 1 is a single address; write /128 behind it"},
		"fe80::1%eth0":             {`entry 1 is not a network such as "10.0.0.0/8" or "fd00::/8"`},
		"fe80::%eth0/10":           {`entry 1 is not a network such as "10.0.0.0/8" or "fd00::/8"`},
		"::ffff:10.0.0.0/104":      {`entry 1 is an IPv4 network written as IPv6; write it as "10.0.0.0/8"`},
		"10.1.2.3/8":               {"entry 1 does not begin where a network of its size does; make the bits behind its length 0"},
		"10.0.0.0/33":              {`entry 1 is not a network such as "10.0.0.0/8" or "fd00::/8"`},
		"10.0.0.0/08":              {`entry 1 is not a network such as "10.0.0.0/8" or "fd00::/8"`},
		"010.0.0.0/8":              {`entry 1 is not a network such as "10.0.0.0/8" or "fd00::/8"`},
		"localhost":                {`entry 1 is not a network such as "10.0.0.0/8" or "fd00::/8"`},
		"private,10.0.0.0/8,1.2.3": {`entry 1 is not a network such as "10.0.0.0/8" or "fd00::/8"`, `entry 3 is not a network such as "10.0.0.0/8" or "fd00::/8"`},
	} {
		_, err := safedial.ParseNetworks(list)
		fault, ok := errors.AsType[*gathering.Error](err)
		if !ok || fault.Kind != gathering.KindInvalid {
			t.Errorf("%q: got %v, want an invalid error", list, err)
			continue
		}
		var got []string
		for _, f := range fault.Fields {
			if f.Field != safedial.Setting {
				t.Errorf("%q: the fault is at %s, want %s", list, f.Field, safedial.Setting)
			}
			got = append(got, f.Problem)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", list, diff)
		}
	}
}

// TestAddresses goes over the first and the last address of every special
// network and their neighbours outside.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"0.0.0.0":         "this network",
		"0.255.255.255":   "this network",
		"1.0.0.0":         "",
		"9.255.255.255":   "",
		"10.0.0.0":        "private use",
		"10.255.255.255":  "private use",
		"11.0.0.0":        "",
		"100.63.255.255":  "",
		"100.64.0.0":      "shared address space",
		"100.100.100.200": "shared address space",
		"100.127.255.255": "shared address space",
		"100.128.0.0":     "",
		"127.0.0.1":       "loopback",
		"127.255.255.255": "loopback",
		"128.0.0.0":       "",
		"168.63.129.16":   "a cloud's own service",
		"168.63.129.17":   "",
		"169.253.255.255": "",
		"169.254.169.254": "link-local",
		"169.255.0.0":     "",
		"172.15.255.255":  "",
		"172.16.0.0":      "private use",
		"172.31.255.255":  "private use",
		"172.32.0.0":      "",
		"192.0.0.192":     "protocol assignments",
		"192.0.1.0":       "",
		"192.0.2.255":     "documentation",
		"192.88.99.1":     "6to4 relays",
		"192.167.255.255": "",
		"192.168.0.0":     "private use",
		"192.168.255.255": "private use",
		"192.169.0.0":     "",
		"198.17.255.255":  "",
		"198.18.0.0":      "benchmarking",
		"198.19.255.255":  "benchmarking",
		"198.20.0.0":      "",
		"198.51.100.7":    "documentation",
		"203.0.113.7":     "documentation",
		"223.255.255.255": "",
		"224.0.0.1":       "multicast",
		"239.255.255.255": "multicast",
		"240.0.0.0":       "reserved and broadcast",
		"255.255.255.255": "reserved and broadcast",

		"::":                                     "not global unicast",
		"::1":                                    "not global unicast",
		"::7f00:1":                               "not global unicast",
		"::ffff:127.0.0.1":                       "loopback",
		"::ffff:169.254.169.254":                 "link-local",
		"::ffff:8.8.8.8":                         "",
		"::ffff:0:7f00:1":                        "not global unicast",
		"64:ff9b::7f00:1":                        "loopback",
		"64:ff9b::a9fe:a9fe":                     "link-local",
		"64:ff9b::808:808":                       "",
		"64:ff9b::1:0:808:808":                   "not global unicast",
		"64:ff9b:1::808:808":                     "not global unicast",
		"100::1":                                 "not global unicast",
		"1fff:ffff::":                            "not global unicast",
		"2000::":                                 "",
		"2001:0:7f00:1::":                        "protocol assignments and Teredo",
		"2001:10::1":                             "protocol assignments and Teredo",
		"2001:1ff:ffff::":                        "protocol assignments and Teredo",
		"2001:200::":                             "",
		"2001:db8::1":                            "documentation",
		"2001:db9::1":                            "",
		"2002:7f00:1::1":                         "6to4",
		"2002:808:808::1":                        "6to4",
		"2003::1":                                "",
		"2606:4700:4700::1111":                   "",
		"2606:4700:4700::1111%eth0":              "of one interface",
		"3ffe:ffff::1":                           "",
		"3fff::1":                                "documentation",
		"3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff": "documentation",
		"3fff:1000::1":                           "",
		"4000::1":                                "not global unicast",
		"5f00::1":                                "not global unicast",
		"fc00::1":                                "not global unicast",
		"fd00:ec2::254":                          "not global unicast",
		"fe80::1":                                "not global unicast",
		"fe80::1%eth0":                           "of one interface",
		"fec0::1":                                "not global unicast",
		"ff02::1":                                "not global unicast",
	} {
		if got := safedial.Refuse(nil, netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: got %q, want %q", address, got, want)
		}
	}
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ allow, address, want string }{
		{"10.1.0.0/16", "10.1.2.3", ""},
		{"10.1.0.0/16", "::ffff:10.1.2.3", ""},
		{"10.1.0.0/16", "10.2.0.0", "private use"},
		{"10.1.0.0/16", "64:ff9b::a01:203", "private use"},
		{"127.0.0.1/32", "127.0.0.2", "loopback"},
		{"127.0.0.1/32", "::1", "not global unicast"},
		{"fe80::/10", "fe80::1%eth0", ""},
		{"64:ff9b::/96", "64:ff9b::a01:203", ""},
		{"0.0.0.0/0", "::1", "not global unicast"},
	} {
		networks, err := safedial.ParseNetworks(test.allow)
		if err != nil {
			t.Fatal(err)
		}
		if got := safedial.Refuse(networks, netip.MustParseAddr(test.address)); got != test.want {
			t.Errorf("%s with %s allowed: got %q, want %q", test.address, test.allow, got, test.want)
		}
	}
}
