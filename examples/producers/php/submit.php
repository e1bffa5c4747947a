<?php
// Submit a job by publishing to RabbitMQ, and print the reply; usage: php submit.php [a] [b]
// It needs php-amqplib only: composer install. BROKER_URL says where RabbitMQ is; docs/amqp.md has every field.

declare(strict_types=1);

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AbstractConnection;
use PhpAmqpLib\Connection\AMQPSSLConnection;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPTimeoutException;
use PhpAmqpLib\Message\AMQPMessage;

$installed = __DIR__ . '/vendor/autoload.php';
require is_file($installed) ? $installed : 'PhpAmqpLib/autoload.php'; // Debian's php-amqplib

const REPLY_QUEUE = 'amq.rabbitmq.reply-to';
const TIMEOUT_S = 30;

function number(string $text): int|float
{
    return is_numeric($text) ? $text + 0 : throw new InvalidArgumentException("$text is no number");
}

function connect(string $url): AbstractConnection
{
    $parts = parse_url($url);
    $path = rawurldecode(substr($parts['path'] ?? '/', 1));
    $where = [
        $parts['host'],
        $parts['port'] ?? ($parts['scheme'] === 'amqps' ? 5671 : 5672),
        rawurldecode($parts['user'] ?? 'guest'),
        rawurldecode($parts['pass'] ?? 'guest'),
        $path === '' ? '/' : $path,
    ];
    if ($parts['scheme'] === 'amqps') {
        return new AMQPSSLConnection(...[...$where, ['verify_peer' => true, 'verify_peer_name' => true]]);
    }
    return new AMQPStreamConnection(...$where);
}

/** Return the reply; throws if RabbitMQ does not take the message or nobody replies. */
function submit(AMQPChannel $channel, array $submission): string
{
    $reply = null;
    $channel->confirm_select();
    $channel->set_nack_handler(function () {
        throw new RuntimeException('not confirmed: RabbitMQ refused the message');
    });
    $channel->set_return_listener(function (int $code, string $text) {
        throw new RuntimeException("not routed: $text");
    });
    $take = function (AMQPMessage $message) use (&$reply) {
        $reply = $message->getBody();
    };
    $channel->basic_consume(REPLY_QUEUE, '', false, true, false, false, $take);
    $message = new AMQPMessage(json_encode($submission), [
        'message_id' => bin2hex(random_bytes(16)), // the job's id: published again, it is the same job
        'content_type' => 'application/json',
        'delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT, // kept when RabbitMQ restarts
        'reply_to' => REPLY_QUEUE,
    ]);
    // Empty routing key: the task's own queue. Mandatory: returned, not dropped, where no queue takes it.
    $channel->basic_publish($message, 'taskyard.submit', '', true);
    $channel->wait_for_pending_acks_returns(TIMEOUT_S);
    while ($reply === null) {
        $channel->wait(null, false, TIMEOUT_S);
    }
    return $reply;
}

try {
    $numbers = array_map(number(...), array_slice($argv, 1)) ?: [1, 2];
    $connection = connect(getenv('BROKER_URL') ?: 'amqp://guest:guest@127.0.0.1:5672/');
    $submission = ['task' => 'background_task', 'args' => $numbers, 'tags' => ['example']];
    $reply = submit($connection->channel(), $submission);
    $connection->close();
    echo $reply, "\n";
    exit(json_decode($reply)->status === 'accepted' ? 0 : 1);
} catch (AMQPTimeoutException) {
    fwrite(STDERR, "not submitted: no reply: is a scheduler running?\n");
    exit(1);
} catch (Throwable $error) {
    fwrite(STDERR, "not submitted: {$error->getMessage()}\n");
    exit(1);
}
