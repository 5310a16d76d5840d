"use strict";
// One set of controls for several videos of the same speech. The first video leads, the others are held to it.

const FRAME = 1 / 25;
const APART = 0.2; // seconds: beyond this all stop and start anew together, below it a follower hurries or waits
const NUDGE = 0.1; // how much faster or slower a follower may run to close a gap

class Player {
  constructor(box) {
    this.box = box;
    this.videos = [...box.querySelectorAll("video")];
    this.lead = this.videos[0];
    this.playing = false;
    this.part = (name) => box.querySelector(`.${name}`);
    this.clocks = [...(box.closest("section") || box).querySelectorAll("svg.clock")];
    Promise.all(this.videos.map(known)).then(() => this.begin());
  }

  begin() {
    this.end = Math.min(...this.videos.map((video) => video.duration));
    this.part("time").max = this.end.toFixed(3);
    this.part("play").onclick = () => (this.playing ? this.pause() : this.play());
    this.part("back").onclick = () => this.step(-1);
    this.part("on").onclick = () => this.step(1);
    this.part("time").oninput = (event) => this.seek(Number(event.target.value));
    this.part("speed").onchange = () => this.pace();
    this.part("heard").onchange = () => this.listen();
    for (const video of this.videos) video.onclick = this.part("play").onclick;
    for (const clock of this.clocks) clock.onclick = (event) => this.seek(this.timeAt(clock, event));
    this.box.onkeydown = (event) => this.key(event);
    for (const control of this.box.querySelectorAll(".controls [disabled]")) control.disabled = false;
    this.listen();
    this.seek(0);
  }

  async play() {
    this.playing = true;
    this.part("play").textContent = "Pause";
    if (this.lead.currentTime > this.end - FRAME) await this.seek(0);
    this.pace();
    await Promise.all(this.videos.map((video) => video.play().catch(() => this.pause())));
    this.follow();
  }

  pause() {
    this.playing = false;
    this.part("play").textContent = "Play";
    for (const video of this.videos) video.pause();
    return this.seek(this.lead.currentTime);
  }

  // While playing, after every picture: whoever is ahead or behind runs slower or faster until it is not.
  follow() {
    if (!this.playing) return;
    if (this.lead.currentTime > this.end - FRAME || this.lead.ended) {
      this.seek(0).then(() => this.playing && this.play());
      return;
    }
    for (const video of this.videos.slice(1)) {
      const gap = this.lead.currentTime - video.currentTime;
      if (Math.abs(gap) > APART) {
        this.align();
        return;
      }
      video.playbackRate = this.speed * (1 + Math.max(-NUDGE, Math.min(NUDGE, 2 * gap)));
    }
    this.show();
    requestAnimationFrame(() => this.follow());
  }

  // A follower that jumped alone would land where the others were when it began to: on a slow machine, never beside them.
  async align() {
    for (const video of this.videos) video.pause();
    await this.seek(this.lead.currentTime);
    if (this.playing) this.play();
  }

  // All to the middle of the same frame, so that rounding cannot part them.
  async seek(time) {
    const last = Math.round(this.end / FRAME) - 1;
    const frame = Math.max(0, Math.min(Math.floor(time / FRAME + 1e-6), last));
    const there = (frame + 0.5) * FRAME;
    await Promise.all(this.videos.map((video) => moved(video, there)));
    this.show();
  }

  step(frames) {
    if (this.playing) this.pause();
    return this.seek(this.lead.currentTime + frames * FRAME);
  }

  pace() {
    this.speed = Number(this.part("speed").value);
    for (const video of this.videos) video.playbackRate = this.speed;
  }

  listen() {
    const heard = Number(this.part("heard").value);
    this.videos.forEach((video, number) => (video.muted = number !== heard));
  }

  show() {
    const time = this.lead.currentTime;
    this.part("time").value = time;
    this.part("shown").textContent = `${time.toFixed(2)} s, frame ${Math.floor(time / FRAME)}`;
    for (const clock of this.clocks) {
      const { left, right, from, to } = clock.dataset;
      const share = Math.max(0, Math.min(1, (Math.floor(time / FRAME) * FRAME - left) / (right - left)));
      const x = Number(from) + share * (to - from);
      const line = clock.querySelector(".now");
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
    }
  }

  timeAt(clock, event) {
    const { left, right, from, to } = clock.dataset;
    const box = clock.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * clock.viewBox.baseVal.width;
    return Number(left) + ((x - from) / (to - from)) * (right - left);
  }

  key(event) {
    if (["INPUT", "SELECT"].includes(event.target.tagName)) return;
    if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
    else return;
    event.preventDefault();
  }
}

function known(video) {
  return video.readyState >= 1 || new Promise((done) => video.addEventListener("loadedmetadata", done, { once: true }));
}

function moved(video, time) {
  if (Math.abs(video.currentTime - time) < 1e-4) return undefined;
  return new Promise((done) => {
    video.addEventListener("seeked", done, { once: true });
    video.currentTime = time;
  });
}

for (const box of document.querySelectorAll(".player")) box.player = new Player(box);
