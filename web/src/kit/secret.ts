// Letters and digits that nobody takes for each other.
const letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

// secret is a password nobody guesses: five groups of four out of 56 signs, 116 bits.
export function secret(random: (into: Uint8Array) => Uint8Array = (b) => crypto.getRandomValues(b as never)): string {
  const most = 256 - (256 % letters.length); // each sign is as likely as any
  let text = "";
  while (text.length < 20) {
    for (const byte of random(new Uint8Array(32))) {
      if (byte < most && text.length < 20) text += letters[byte % letters.length];
    }
  }
  return text.replace(/(.{4})(?=.)/g, "$1-");
}
