-- Letters and numbers that the locale of PGlite does not know are found by pairs, as scripts without spaces are: to its parser
-- they are no words.
-- Runs beside: 0026

-- As in 0014, with those letters.
create or replace function search_unspaced() returns text language sql immutable parallel safe as $$
  select '\u0870-\u0887\u0889-\u088f\u08b5\u08be-\u08c9\u09f4-\u09f9\u0b72-\u0b77\u0bf0-\u0bf2\u0c5c\u0c5d\u0c78-\u0c7e\u0cdc\u0cdd\u0d04\u0d58-\u0d5e\u0d70-\u0d78\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1369-\u137c\u170d\u171f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b4c\u1c89\u1c8a\u20a0-\u20a7\u20a9-\u20cf\u2190-\u245f\u24eb-\u2bff\u2c2f\u2c5f\u2cfd\u2e80-\u2fdf\u3004-\u3007\u3012\u3013\u3020-\u302f\u3031-\u303c\u303e-\u309f\u30a1-\u30fa\u30fc-\u31ff\u3248-\u324f\u3400-\u4dbf\u4dc0-\u9fff\ua000-\ua4cf\ua7c0\ua7c1\ua7c7-\ua7ca\ua7cc-\ua7db\ua7f1\ua7f5\ua7f6\ua830-\ua835\ua960-\ua9ff\uaa60-\uaadf\uab68\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdf\U00010000-\U0001d3ff\U0001d800-\U0001f0ff\U0001f10b\U0001f10c\U0001f1e6-\U0001fbef\U0001fc00-\U0010ffff'
$$;

-- Its words were made with the function as it was.
reindex index rooms_by_words;
