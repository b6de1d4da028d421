/** Submissions that are on their way while the page has made room for the next task. */
class Submitting {
  count = $state(0);

  async follow<T>(sending: Promise<T>): Promise<T> {
    this.count++;
    try {
      return await sending;
    } finally {
      this.count--;
    }
  }
}

export const submitting = new Submitting();
