// Submit a job by publishing to RabbitMQ, and print the reply; usage: node submit.js [a] [b]
// It needs amqplib only: npm ci. BROKER_URL says where RabbitMQ is; docs/amqp.md has every field.

const { randomUUID } = require("node:crypto");
const amqp = require("amqplib");

const REPLY_QUEUE = "amq.rabbitmq.reply-to";
const TIMEOUT_MS = 30_000;

async function main() {
  const numbers = process.argv.length > 2 ? process.argv.slice(2).map(number) : [1, 2];
  const submission = { task: "background_task", args: numbers, tags: ["example"] };
  const url = process.env.BROKER_URL || "amqp://guest:guest@127.0.0.1:5672/";
  const connection = await amqp.connect(url);
  connection.on("error", () => {}); // told by what fails because of it
  try {
    const reply = await submit(await connection.createConfirmChannel(), submission);
    console.log(reply);
    return JSON.parse(reply).status === "accepted" ? 0 : 1;
  } finally {
    await connection.close().catch(() => {});
  }
}

function number(text) {
  if (Number.isNaN(Number(text))) throw new Error(`${text} is no number`);
  return Number(text);
}

// Return the reply; rejects if RabbitMQ does not take the message or nobody replies.
function submit(channel, submission) {
  return new Promise((resolve, reject) => {
    channel.on("error", reject); // such as 404: there is no such exchange
    channel.on("return", ({ fields }) => reject(new Error(`not routed: ${fields.replyText}`)));
    setTimeout(() => reject(new Error("no reply: is a scheduler running?")), TIMEOUT_MS).unref();
    const options = {
      messageId: randomUUID(), // the job's id: published again, it is the same job
      contentType: "application/json",
      persistent: true, // kept when RabbitMQ restarts
      mandatory: true, // returned, instead of dropped, where no queue takes it
      replyTo: REPLY_QUEUE,
    };
    channel
      .consume(REPLY_QUEUE, (message) => resolve(message.content.toString()), { noAck: true })
      .then(() =>
        channel.publish(
          "taskyard.submit",
          "", // the task's own queue
          Buffer.from(JSON.stringify(submission)),
          options,
          (error) => error && reject(new Error(`not confirmed: ${error.message}`)),
        ),
      )
      .catch(reject);
  });
}

main().then(
  (code) => (process.exitCode = code),
  (error) => {
    console.error(`not submitted: ${error.message}`);
    process.exitCode = 1;
  },
);
