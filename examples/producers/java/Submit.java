// Submit a job by publishing to RabbitMQ, and print the reply; usage: java -cp 'lib/*' Submit.java [a] [b]
// It needs RabbitMQ's amqp-client with slf4j-api. BROKER_URL says where RabbitMQ is; docs/amqp.md has every field.

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Address;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.ShutdownSignalException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;

public class Submit {
  private static final String REPLY_QUEUE = "amq.rabbitmq.reply-to";
  private static final int TIMEOUT_S = 30;
  private static final Pattern ACCEPTED = Pattern.compile("\"status\"\\s*:\\s*\"accepted\"");

  public static void main(String[] arguments) {
    int code;
    try {
      String reply = run(arguments);
      System.out.println(reply);
      code = ACCEPTED.matcher(reply).find() ? 0 : 1;
    } catch (Exception error) {
      System.err.println("not submitted: " + explain(error));
      code = 1;
    }
    System.exit(code);
  }

  private static String run(String[] arguments) throws Exception {
    String[] texts = arguments.length > 0 ? arguments : new String[] {"1", "2"};
    String numbers =
        Arrays.stream(texts).map(BigDecimal::new).map(String::valueOf).collect(Collectors.joining(","));
    String submission =
        "{\"task\":\"background_task\",\"args\":[" + numbers + "],\"tags\":[\"example\"]}";
    ConnectionFactory factory = factory();
    // By name: otherwise the client looks up the addresses, and certificates have no addresses.
    List<Address> addresses = List.of(new Address(factory.getHost(), factory.getPort()));
    try (Connection connection = factory.newConnection(null, () -> addresses, "producer");
        Channel channel = connection.createChannel()) {
      return submit(channel, submission);
    }
  }

  private static ConnectionFactory factory() throws Exception {
    String url = System.getenv().getOrDefault("BROKER_URL", "amqp://guest:guest@127.0.0.1:5672/");
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(url);
    if (url.endsWith("/")) {
      factory.setVirtualHost("/"); // as other clients read it; this one takes it for an empty name
    }
    if (url.startsWith("amqps:")) { // the client's own default verifies nothing
      factory.useSslProtocol(SSLContext.getDefault());
      factory.setSocketConfigurator(
          socket -> {
            SSLParameters parameters = ((SSLSocket) socket).getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            ((SSLSocket) socket).setSSLParameters(parameters);
          });
    }
    return factory;
  }

  /** Returns the reply; throws if RabbitMQ does not take the message or nobody replies. */
  private static String submit(Channel channel, String submission) throws Exception {
    CompletableFuture<String> reply = new CompletableFuture<>();
    channel.addShutdownListener(reply::completeExceptionally); // such as 404: no such exchange
    channel.addReturnListener(
        (replyCode, replyText, exchange, routingKey, properties, body) ->
            reply.completeExceptionally(new IllegalStateException("not routed: " + replyText)));
    channel.confirmSelect();
    channel.addConfirmListener(
        (tag, isMultiple) -> {},
        (tag, isMultiple) ->
            reply.completeExceptionally(
                new IllegalStateException("not confirmed: RabbitMQ refused the message")));
    channel.basicConsume(
        REPLY_QUEUE,
        true,
        (tag, delivery) -> reply.complete(new String(delivery.getBody(), StandardCharsets.UTF_8)),
        tag -> {});
    AMQP.BasicProperties properties =
        new AMQP.BasicProperties.Builder()
            .messageId(UUID.randomUUID().toString()) // the job's id: published again, the same job
            .contentType("application/json")
            .deliveryMode(2) // kept when RabbitMQ restarts
            .replyTo(REPLY_QUEUE)
            .build();
    // Empty routing key: the task's own queue. Mandatory: returned, not dropped, where no queue takes it.
    byte[] body = submission.getBytes(StandardCharsets.UTF_8);
    channel.basicPublish("taskyard.submit", "", true, properties, body);
    return reply.get(TIMEOUT_S, TimeUnit.SECONDS);
  }

  private static String explain(Exception error) {
    if (error instanceof TimeoutException) {
      return "no reply: is a scheduler running?";
    }
    Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
    if (cause instanceof ShutdownSignalException && cause.getCause() != null) {
      cause = cause.getCause();
    }
    return cause.getMessage() == null ? cause.toString() : cause.getMessage();
  }
}
