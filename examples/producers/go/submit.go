// Submit a job by publishing to RabbitMQ, and print the reply; usage: go run . [a] [b]
// It needs amqp091-go only: go mod tidy. BROKER_URL says where RabbitMQ is; docs/amqp.md has every field.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	replyQueue = "amq.rabbitmq.reply-to"
	timeout    = 30 * time.Second
)

type submission struct {
	Task string    `json:"task"`
	Args []float64 `json:"args"`
	Tags []string  `json:"tags"`
}

func main() {
	reply, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "not submitted:", err)
		os.Exit(1)
	}
	fmt.Println(string(reply))
	var answer struct{ Status string }
	if json.Unmarshal(reply, &answer) != nil || answer.Status != "accepted" {
		os.Exit(1)
	}
}

func run(arguments []string) ([]byte, error) {
	numbers, err := parse(arguments)
	if err != nil {
		return nil, err
	}
	url := os.Getenv("BROKER_URL")
	if url == "" {
		url = "amqp://guest:guest@127.0.0.1:5672/"
	}
	connection, err := amqp.Dial(url)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return nil, err
	}
	return submit(channel, submission{"background_task", numbers, []string{"example"}})
}

func parse(arguments []string) ([]float64, error) {
	if len(arguments) == 0 {
		return []float64{1, 2}, nil
	}
	var numbers []float64
	for _, text := range arguments {
		number, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, number)
	}
	return numbers, nil
}

// submit returns the reply, or an error if RabbitMQ does not take the message or nobody replies.
func submit(channel *amqp.Channel, job submission) ([]byte, error) {
	body, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	if err := channel.Confirm(false); err != nil {
		return nil, err
	}
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	returned := channel.NotifyReturn(make(chan amqp.Return, 1))
	confirmed := channel.NotifyPublish(make(chan amqp.Confirmation, 1))
	replies, err := channel.Consume(replyQueue, "", true, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	message := amqp.Publishing{
		MessageId:    newID(), // the job's id: published again, it is the same job
		ContentType:  "application/json",
		DeliveryMode: amqp.Persistent, // kept when RabbitMQ restarts
		ReplyTo:      replyQueue,
		Body:         body,
	}
	// Empty routing key: the task's own queue. Mandatory: returned, instead of dropped, where no queue takes it.
	err = channel.PublishWithContext(context.Background(), "taskyard.submit", "", true, false, message)
	if err != nil {
		return nil, err
	}
	deadline := time.After(timeout)
	for {
		select {
		case lost := <-closed: // such as 404: there is no such exchange
			if lost == nil {
				return nil, errors.New("the channel was closed")
			}
			return nil, lost
		case back := <-returned:
			return nil, fmt.Errorf("not routed: %s", back.ReplyText)
		case confirmation := <-confirmed:
			if !confirmation.Ack {
				return nil, errors.New("not confirmed: RabbitMQ refused the message")
			}
			confirmed = nil
		case reply, isOpen := <-replies:
			if isOpen {
				return reply.Body, nil
			}
			replies = nil // closed with the channel, which says why
		case <-deadline:
			return nil, errors.New("no reply: is a scheduler running?")
		}
	}
}

func newID() string {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		panic(err)
	}
	return fmt.Sprintf("%x", id)
}
