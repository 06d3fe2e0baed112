//go:build cgo && linux && !tcpshaker_go

package tcp

import "testing"

func TestLibraryServesHeadersOfItsABIThatAreNotNewer(t *testing.T) {
	for _, wanted := range []struct {
		library, header version
		serves          bool
	}{
		{version{0, 1, 0}, version{0, 1, 0}, true},
		{version{0, 1, 3}, version{0, 1, 2}, true},
		{version{0, 1, 2}, version{0, 1, 3}, false},
		{version{0, 2, 0}, version{0, 1, 0}, false},
		{version{0, 1, 9}, version{0, 2, 0}, false},
		{version{1, 0, 0}, version{0, 1, 0}, false},
		{version{1, 4, 0}, version{1, 3, 9}, true},
		{version{1, 3, 9}, version{1, 4, 0}, false},
		{version{2, 0, 0}, version{1, 9, 9}, false},
		{version{}, version{0, 1, 0}, false},
	} {
		if serves := wanted.library.serves(wanted.header); serves != wanted.serves {
			t.Errorf("%v for %v: %v", wanted.library, wanted.header, serves)
		}
	}
	if err := compareVersions(); err != nil {
		t.Error(err)
	}
}
