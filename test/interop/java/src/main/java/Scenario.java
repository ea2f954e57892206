import io.socket.client.Ack;
import io.socket.client.IO;
import io.socket.client.Socket;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.json.JSONArray;
import org.json.JSONObject;

/** The scenario of test/interop/README.md with io.socket:socket.io-client. */
public class Scenario {
  private static final long LIMIT_SECONDS = 60;
  private static final String URL = System.getenv("PARLEY_URL");

  static final class Person {
    final Socket socket;
    final Map<String, List<JSONObject>> events = new LinkedHashMap<>();
    final CompletableFuture<JSONObject> refusal = new CompletableFuture<>();

    Person(String token, String[] transports) throws Exception {
      IO.Options options = new IO.Options();
      options.forceNew = true;
      options.reconnectionDelay = 100;
      options.reconnectionDelayMax = 500;
      options.auth = Map.of("token", token);
      if (transports != null) options.transports = transports;
      socket = IO.socket(URL, options);
      for (String name : List.of("ready", "message", "signal")) socket.on(name, args -> receive(name, (JSONObject) args[0]));
      socket.on(Socket.EVENT_CONNECT_ERROR, args -> {
        if (args[0] instanceof JSONObject) refusal.complete((JSONObject) args[0]);
      });
      socket.connect();
    }

    synchronized void receive(String name, JSONObject data) {
      events.computeIfAbsent(name, key -> new ArrayList<>()).add(data);
      notifyAll();
    }

    synchronized List<JSONObject> await(String name, int count) throws Exception {
      long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT_SECONDS);
      while (events.getOrDefault(name, List.of()).size() < count) {
        long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
        if (left <= 0) throw new AssertionError("waited in vain for " + count + " of " + name + ": " + events);
        wait(left);
      }
      return new ArrayList<>(events.get(name));
    }

    JSONObject ok(String name, JSONObject input) throws Exception {
      CompletableFuture<JSONObject> answer = new CompletableFuture<>();
      socket.emit(name, new Object[] {input}, (Ack) args -> answer.complete((JSONObject) args[0]));
      JSONObject output = answer.get(LIMIT_SECONDS, TimeUnit.SECONDS);
      if (!output.getBoolean("ok")) throw new AssertionError(name + ": " + output);
      return output;
    }

    JSONObject send(String room, Object body) throws Exception {
      return ok("message:send", new JSONObject().put("room", room).put("id", UUID.randomUUID().toString()).put("body", body));
    }
  }

  static void check(boolean holds, Object seen) {
    if (!holds) throw new AssertionError(String.valueOf(seen));
  }

  static void run(String[] transports) throws Exception {
    Person stranger = new Person("no token of ours", transports);
    JSONObject refusal = stranger.refusal.get(LIMIT_SECONDS, TimeUnit.SECONDS);
    check(refusal.getJSONObject("data").getString("code").equals("unauthorized"), refusal);
    stranger.socket.disconnect();

    Person ann = new Person(System.getenv("PARLEY_TOKEN_1"), transports);
    Person ben = new Person(System.getenv("PARLEY_TOKEN_2"), new String[] {"websocket"});
    ann.await("ready", 1);
    ben.await("ready", 1);
    String room = ann.ok("room:create", new JSONObject("{\"kind\":\"channel\",\"name\":\"interop\"}")).getJSONObject("room").getString("id");
    ben.ok("room:join", new JSONObject().put("room", room));
    for (int n = 1; n <= 10; n++) {
      JSONObject body = new JSONObject().put("n", n).put("text", "Grüße 👋");
      JSONObject sent = (n % 2 == 1 ? ann : ben).send(room, body);
      check(sent.getInt("seq") == n, sent);
    }
    for (Person person : List.of(ann, ben)) {
      List<JSONObject> messages = person.await("message", 10);
      for (int n = 1; n <= 10; n++) check(messages.get(n - 1).getInt("seq") == n, messages);
      check(messages.get(0).getJSONObject("body").getString("text").equals("Grüße 👋"), messages);
    }

    byte[] blob = new byte[256];
    for (int n = 0; n < blob.length; n++) blob[n] = (byte) n;
    for (Person[] pair : List.of(new Person[] {ann, ben}, new Person[] {ben, ann})) {
      JSONObject data = new JSONObject().put("blob", blob).put("list", new JSONArray().put(new byte[0]).put(new byte[] {0, -1}));
      pair[0].ok("signal", new JSONObject().put("room", room).put("name", "blob").put("data", data));
      JSONObject received = pair[1].await("signal", 1).get(0).getJSONObject("data");
      check(Arrays.equals((byte[]) received.get("blob"), blob), received);
      JSONArray list = received.getJSONArray("list");
      check(((byte[]) list.get(0)).length == 0 && Arrays.equals((byte[]) list.get(1), new byte[] {0, -1}), received);
    }

    List<JSONObject> before = ann.await("message", 10);
    int cursor = before.get(before.size() - 1).getInt("rev");
    ann.socket.disconnect();
    for (int n = 11; n <= 15; n++) ben.send(room, n);
    ann = new Person(System.getenv("PARLEY_TOKEN_1"), transports);
    ann.await("ready", 1);
    JSONObject synced = ann.ok("sync", new JSONObject().put("cursors", new JSONObject().put(room, cursor)));
    JSONArray missed = synced.getJSONObject("rooms").getJSONObject(room).getJSONArray("messages");
    check(missed.length() == 5, missed);
    for (int n = 0; n < 5; n++) check(missed.getJSONObject(n).getInt("body") == n + 11, missed);

    System.out.println("restart");
    input.readLine();
    ann.await("ready", 2);
    ben.await("ready", 2);
    ann.send(room, "after the restart");
    check(ann.await("message", 1).get(0).getString("body").equals("after the restart"), ann.events);
    check(ben.await("message", 16).get(15).getInt("seq") == 16, ben.events);
    ann.socket.disconnect();
    ben.socket.disconnect();
  }

  private static final BufferedReader input = new BufferedReader(new InputStreamReader(System.in));

  public static void main(String[] args) {
    try {
      runAll();
      System.exit(0);
    } catch (Throwable failure) {
      // the clients' threads would keep the process
      failure.printStackTrace();
      System.exit(1);
    }
  }

  private static void runAll() throws Exception {
    Map<String, String[]> modes = new LinkedHashMap<>();
    modes.put("no options", null);
    modes.put("polling only", new String[] {"polling"});
    modes.put("websocket only", new String[] {"websocket"});
    for (Map.Entry<String, String[]> mode : modes.entrySet()) {
      run(mode.getValue());
      System.out.println("passed " + mode.getKey());
    }
  }
}
