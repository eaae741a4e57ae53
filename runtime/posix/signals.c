/* posix/signals.c: a signal that would end the process lets a run end in order instead, with its checkpoint. */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "core/system.h"

static volatile sig_atomic_t interrupted;

static void note_signal(int number) {
  (void)number;
  interrupted = 1;
}

static void catch_signal(int number, int flags) {
  struct sigaction action = {.sa_handler = note_signal, .sa_flags = flags | SA_RESTART};
  sigaction(number, &action, NULL);
}

/* nohup starts a process that ignores SIGHUP, and then it stays ignored. */
static bool is_ignored(int number) {
  struct sigaction action;
  return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* What terminals, batch systems, `timeout` and people send. Programs may send theirs twice: `timeout` sends SIGTERM to
 * the process and to its group, the kernel sends SIGXCPU once a second. */
static void catch_signals(void) {
  static const int jobs[] = {SIGTERM, SIGXCPU, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF};
  catch_signal(SIGINT, (int)SA_RESETHAND);
  catch_signal(SIGQUIT, (int)SA_RESETHAND);
  for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
    catch_signal(jobs[i], 0);
  if (!is_ignored(SIGHUP))
    catch_signal(SIGHUP, 0);
}

/* A standard stream that is closed would become the next file that is opened, and the log would hold what is said to
 * people. Writing to standard output stays an error then: it holds results. */
static void open_standard_streams(void) {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++)
    if (fcntl(stream, F_GETFD) < 0)
      open("/dev/null", stream == STDERR_FILENO ? O_WRONLY : O_RDONLY); /* it becomes the lowest that is free */
}

void nitic_process_begin(void) {
  open_standard_streams();
  signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write, not the end of the process */
  catch_signals();
}

void nitic_catch_broken_pipes(void) { catch_signal(SIGPIPE, 0); }

bool nitic_interrupted(void) { return interrupted != 0; }
