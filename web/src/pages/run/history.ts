import type { RunEvent } from "./events";
import { fold, nothing, type RunFold } from "./fold";

const stride = 400; // events between two marks

// History is a run's log, and where the run stood after each of its events.
export class History {
  readonly events: RunEvent[] = [];
  now: RunFold = nothing;
  private marks: RunFold[] = [nothing]; // after 0, stride, 2·stride … events
  private last: { count: number; run: RunFold } = { count: 0, run: nothing };

  // add takes in events that follow on those that are there.
  add(events: readonly RunEvent[]): void {
    for (let i = 0; i < events.length; ) {
      const room = this.marks.length * stride - this.events.length;
      const fresh = events.slice(i, i + room).filter((e) => e.seq > this.now.seq);
      i += room;
      if (fresh.length === 0) continue;
      this.events.push(...fresh);
      this.now = fold(this.now, fresh);
      if (this.events.length === this.marks.length * stride) this.marks.push(this.now);
    }
  }

  // at is where the run stood after its first so many events.
  at(count: number): RunFold {
    if (count >= this.events.length) return this.now;
    if (this.last.count === count) return this.last.run;
    const mark = Math.floor(count / stride);
    let from = mark * stride;
    let run = this.marks[mark] ?? nothing;
    if (this.last.count > from && this.last.count < count) {
      from = this.last.count;
      run = this.last.run;
    }
    run = fold(run, this.events.slice(from, count));
    this.last = { count, run };
    return run;
  }
}
