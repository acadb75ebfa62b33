// outside answers in place of MLflow and S3, as far as reconciling an Experiment asks them, and counts what it was asked. It is load
// equipment: it keeps experiments in memory, has no runs and no objects, and answers at once, so that what is measured is the operator.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	mlflow = "/api/2.0/mlflow/"
	listed = `<?xml version="1.0" encoding="UTF-8"?>` +
		`<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bench</Name><Prefix></Prefix>` +
		`<KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>`
)

type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type experiment struct {
	ID       string `json:"experiment_id"`
	Name     string `json:"name"`
	Location string `json:"artifact_location"`
	Stage    string `json:"lifecycle_stage"`
	Tags     []tag  `json:"tags"`
}

type server struct {
	lock        sync.Mutex
	experiments map[string]*experiment
	byID        map[string]*experiment
	asked       map[string]int
}

func (s *server) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	if in.URL.Path == "/-/asked" {
		s.report(out)
		return
	}
	if in.URL.Path == "/-/forget" {
		s.forget()
		return
	}
	operation, isMlflow := strings.CutPrefix(in.URL.Path, mlflow)
	if !isMlflow {
		s.count("S3 " + in.Method)
		if in.Method == http.MethodGet {
			out.Header().Set("Content-Type", "application/xml")
			_, _ = out.Write([]byte(listed))
		}
		return
	}
	s.count("MLflow " + operation)
	out.Header().Set("Content-Type", "application/json")
	if err := s.mlflow(out, in, operation); err != nil {
		http.Error(out, fmt.Sprintf(`{"error_code": "INVALID_PARAMETER_VALUE", "message": %q}`, err), http.StatusBadRequest)
	}
}

func (s *server) mlflow(out http.ResponseWriter, in *http.Request, operation string) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	switch operation {
	case "experiments/get-by-name":
		found := s.experiments[in.URL.Query().Get("experiment_name")]
		if found == nil {
			out.WriteHeader(http.StatusNotFound)
			_, err := out.Write([]byte(`{"error_code": "RESOURCE_DOES_NOT_EXIST"}`))
			return err
		}
		return json.NewEncoder(out).Encode(map[string]*experiment{"experiment": found})
	case "experiments/create":
		var made experiment
		if err := json.NewDecoder(in.Body).Decode(&made); err != nil {
			return err
		}
		made.ID, made.Stage = strconv.Itoa(len(s.byID)+1), "active"
		s.experiments[made.Name], s.byID[made.ID] = &made, &made
		return json.NewEncoder(out).Encode(map[string]string{"experiment_id": made.ID})
	case "experiments/set-experiment-tag":
		var asked struct {
			tag
			ID string `json:"experiment_id"`
		}
		if err := json.NewDecoder(in.Body).Decode(&asked); err != nil {
			return err
		}
		if found := s.byID[asked.ID]; found != nil {
			found.Tags = append(found.Tags, asked.tag)
		}
		_, err := out.Write([]byte("{}"))
		return err
	case "runs/search":
		_, err := out.Write([]byte(`{"runs": []}`))
		return err
	}
	return fmt.Errorf("nobody asks for %s here", operation)
}

func (s *server) count(what string) {
	s.lock.Lock()
	s.asked[what]++
	s.lock.Unlock()
}

// forget has the next experiments begin anew.
func (s *server) forget() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.experiments, s.byID = map[string]*experiment{}, map[string]*experiment{}
}

// report says what was asked since the last report.
func (s *server) report(out http.ResponseWriter) {
	s.lock.Lock()
	defer s.lock.Unlock()
	_ = json.NewEncoder(out).Encode(s.asked)
	s.asked = map[string]int{}
}

func main() {
	address := flag.String("address", "127.0.0.1:0", "where to listen")
	flag.Parse()
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	made := &server{asked: map[string]int{}}
	made.forget()
	log.Fatal(http.Serve(listener, made))
}
