// The driver of Go's net/http: the corpus as JSON on standard input, its verdicts on standard output, in the
// form that drivers.py describes.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
)

type verdict struct {
	Accepted [][2]any `json:"accepted"`
	Refused  *string  `json:"refused"`
}

func read(octets []byte) verdict {
	found := verdict{Accepted: [][2]any{}}
	reader := bufio.NewReader(bytes.NewReader(octets))
	for {
		if _, err := reader.Peek(1); err == io.EOF {
			return found
		}
		request, err := http.ReadRequest(reader)
		var content []byte
		if err == nil {
			content, err = io.ReadAll(request.Body)
		}
		if err != nil {
			reason := err.Error()
			found.Refused = &reason
			return found
		}
		found.Accepted = append(found.Accepted, [2]any{request.Method, len(content)})
		if request.Close {
			return found
		}
	}
}

func main() {
	var cases []struct {
		Name   string
		Octets []byte
	}
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	verdicts := map[string]verdict{}
	for _, one := range cases {
		verdicts[one.Name] = read(one.Octets)
	}
	json.NewEncoder(os.Stdout).Encode(verdicts)
}
