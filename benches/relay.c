/* What an event costs whoever passes it on: a relay that reads with recv, writes with send, and does nothing else.
 *
 *     cc -O2 -o target/relay benches/relay.c && target/relay STREAMS EVENTS_PER_SECOND SECONDS
 *
 * The source, which writes events of 256 bytes one by one, and the sink are processes on core 1, the relay has core 0. All
 * is on 127.0.0.1 and ends by itself. Printed is the relay's own CPU time, user and system. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EVENT = 256, READY = 512, BUFFER = 4096 };

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void stay_on(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int listener(struct sockaddr_in *address) {
    socklen_t length = sizeof *address;
    int socket_ = socket(AF_INET, SOCK_STREAM, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(socket_, (struct sockaddr *)address, length) || listen(socket_, 4096)) fail("listen");
    getsockname(socket_, (struct sockaddr *)address, &length);
    return socket_;
}

static void no_delay(int connection) {
    int on = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int connected(const struct sockaddr_in *address) {
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (const struct sockaddr *)address, sizeof *address)) fail("connect");
    no_delay(connection);
    return connection;
}

static void watch(int epoll, int connection) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = connection};
    fcntl(connection, F_SETFL, O_NONBLOCK);
    epoll_ctl(epoll, EPOLL_CTL_ADD, connection, &event);
}

static void source(int listening, int streams, int rate, int time) {
    int *connections = calloc((size_t)streams, sizeof *connections);
    char event[EVENT];
    stay_on(1);
    memset(event, 'x', sizeof event);
    memcpy(event, "data: ", 6);
    event[EVENT - 2] = event[EVENT - 1] = '\n';
    for (int i = 0; i < streams; i++) connections[i] = accept(listening, NULL, NULL);
    double step = 1.0 / ((double)rate * streams), at = seconds(), end = at + time;
    for (long sent = 0; at < end; sent++) {
        send(connections[sent % streams], event, sizeof event, MSG_NOSIGNAL);
        at += step;
        double left = at - seconds();
        if (left > 0.0005) usleep((useconds_t)(left * 1e6));
    }
    printf("the source was %.3f s late at its end\n", seconds() - end);
    fflush(stdout);
    _exit(0);
}

static void sink(const struct sockaddr_in *address, int streams) {
    struct epoll_event ready[READY];
    char buffer[BUFFER];
    int epoll = epoll_create1(0);
    stay_on(1);
    for (int i = 0; i < streams; i++) watch(epoll, connected(address));
    while (streams > 0) {
        int count = epoll_wait(epoll, ready, READY, -1);
        for (int i = 0; i < count; i++) {
            ssize_t length = recv(ready[i].data.fd, buffer, sizeof buffer, 0);
            if (length > 0 || (length < 0 && errno == EAGAIN)) continue;
            close(ready[i].data.fd);
            streams--;
        }
    }
    _exit(0);
}

static double used(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int count, char **words) {
    if (count != 4) {
        fprintf(stderr, "usage: relay STREAMS EVENTS_PER_SECOND SECONDS\n");
        return 2;
    }
    int streams = atoi(words[1]), rate = atoi(words[2]), time = atoi(words[3]), open = streams;
    struct rlimit files = {30000, 30000};
    struct sockaddr_in of_source, of_relay;
    setrlimit(RLIMIT_NOFILE, &files);
    int from = listener(&of_source), to = listener(&of_relay);
    if (fork() == 0) source(from, streams, rate, time);
    if (fork() == 0) sink(&of_relay, streams);
    stay_on(0);
    int epoll = epoll_create1(0), *client = calloc(files.rlim_cur, sizeof *client);
    for (int i = 0; i < streams; i++) {
        int provider = connected(&of_source);
        client[provider] = accept(to, NULL, NULL);
        no_delay(client[provider]);
        watch(epoll, provider);
    }
    struct epoll_event ready[READY];
    char buffer[BUFFER];
    double before = used();
    long bytes = 0;
    while (open > 0) {
        int found = epoll_wait(epoll, ready, READY, -1);
        for (int i = 0; i < found; i++) {
            int provider = ready[i].data.fd;
            ssize_t length = recv(provider, buffer, sizeof buffer, 0);
            if (length < 0 && errno == EAGAIN) continue;
            if (length <= 0) {
                close(provider);
                close(client[provider]);
                open--;
                continue;
            }
            send(client[provider], buffer, (size_t)length, MSG_NOSIGNAL);
            bytes += length;
        }
    }
    printf("%d streams, %ld events, %.2f us of CPU an event\n", streams, bytes / EVENT, (used() - before) * 1e6 * EVENT / (double)bytes);
    while (wait(NULL) > 0) {}
    return 0;
}
