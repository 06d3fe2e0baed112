//go:build cgo && linux && !tcpshaker_go

package tcp

/*
#include <tcpshaker.h>
*/
import "C"

import "fmt"

type version struct{ major, minor, patch int }

// The header that this package was built with.
var header = version{C.SHAKER_VERSION_MAJOR, C.SHAKER_VERSION_MINOR, C.SHAKER_VERSION_PATCH}

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.patch) }

// compareVersions fails if the library that was loaded is not one that the header describes.
func compareVersions() error {
	library := C.GoString(C.shaker_version())
	var loaded version
	fmt.Sscanf(library, "%d.%d.%d", &loaded.major, &loaded.minor, &loaded.patch)
	if !loaded.serves(header) {
		return fmt.Errorf("tcp: built with tcpshaker.h of version %v, but the library is version %s", header, library)
	}
	return nil
}

// serves says whether a library has all that a header describes, as the header describes it. Before 1.0 a minor
// release may break the ABI, and from then on a major one.
func (v version) serves(header version) bool {
	if v.major != header.major || v.major == 0 && v.minor != header.minor {
		return false
	}
	return v.minor > header.minor || v.minor == header.minor && v.patch >= header.patch
}
