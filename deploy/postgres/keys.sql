-- The keys of persons lie in a database of their own, so that a backup of the ledger need not hold them.
CREATE DATABASE demur_keys ENCODING 'UTF8' TEMPLATE template0;
